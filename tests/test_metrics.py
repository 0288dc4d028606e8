"""Metrics against scikit-image and published values of their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import lrfjax
from lrfjax.evaluation.sample import sample_image


@pytest.fixture(scope="module")
def pair():
    image = sample_image()[100:300, 100:290]
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return image, np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def test_psnr_agrees_with_scikit_image(pair):
    expected = peak_signal_noise_ratio(*pair, data_range=255)
    assert np.isclose(lrfjax.psnr(*pair), expected, atol=1e-4)
    assert np.isinf(lrfjax.psnr(pair[0], pair[0]))


@pytest.mark.parametrize("gray", [False, True])
def test_ssim_agrees_with_scikit_image(pair, gray):
    a, b = (x[..., 0] if gray else x for x in pair)
    expected = structural_similarity(
        a,
        b,
        data_range=255,
        channel_axis=None if gray else 2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert np.isclose(lrfjax.ssim(a, b), expected, atol=2e-5)
    assert np.isclose(lrfjax.ssim(a, a), 1)


def test_ms_ssim_combines_the_scales_of_ssim(pair):
    a, b = (x[..., 1].astype(np.float64) for x in pair)
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    value = 1.0
    for scale, weight in enumerate(weights):
        _, full = structural_similarity(
            a,
            b,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        inside = full[5:-5, 5:-5]
        if scale < 4:  # take the luminance term out again
            from scipy.ndimage import gaussian_filter

            ma, mb = (gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5] for x in (a, b))
            c1 = (0.01 * 255) ** 2
            inside = inside * (ma**2 + mb**2 + c1) / (2 * ma * mb + c1)
        value *= inside.mean() ** weight
        even = [slice(0, n // 2 * 2) for n in a.shape]
        a, b = (
            x[tuple(even)].reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean(axis=(1, 3))
            for x in (a, b)
        )
    ours = lrfjax.ms_ssim(*(x[..., 1] for x in pair))
    assert np.isclose(ours, value, atol=1e-4)
    assert 0 < value < 1


@pytest.mark.parametrize("metric", [lrfjax.psnr, lrfjax.ssim, lrfjax.ms_ssim])
def test_batches_are_measured_one_by_one(pair, metric):
    a, b = (np.stack([x, x[::-1], x[:, ::-1]]) for x in pair)
    a[1] //= 2
    values = np.asarray(metric(a, b))
    assert values.shape == (3,)
    assert np.allclose(values, [metric(x, y) for x, y in zip(a, b, strict=True)], rtol=1e-5)
    assert np.isclose(metric(jnp.asarray(a[0]), b[0]), values[0], rtol=1e-5)


@pytest.mark.parametrize("metric", [lrfjax.ssim, lrfjax.ms_ssim])
def test_images_below_the_window_are_refused(metric):
    with pytest.raises(lrfjax.InputError, match="at least"):
        metric(np.zeros((10, 200)), np.zeros((10, 200)))


def test_shapes_must_agree():
    with pytest.raises(lrfjax.InputError, match=r"\(4, 4\) and \(4, 5\)"):
        lrfjax.psnr(np.zeros((4, 4)), np.zeros((4, 5)))
