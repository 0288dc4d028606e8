"""All experiments by name."""

from __future__ import annotations

from collections.abc import Mapping

from lrfjax.evaluation.experiments import (
    ablations,
    classification,
    comparison,
    components,
    qualitative,
    run_time,
)
from lrfjax.evaluation.experiments.base import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        comparison.EXPERIMENT,
        *(ablations.experiment(name) for name in ablations.ABLATIONS),
        run_time.EXPERIMENT,
        classification.EXPERIMENT,
        qualitative.EXPERIMENT,
        components.EXPERIMENT,
    )
}
