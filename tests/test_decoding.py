"""Facts about choosing: noise depends on its key only, filters keep what they say, constraints hold."""

import numpy as np
import pytest
import torch

from hybridgen.decoding import choose, gumbel, write
from hybridgen.ops import guide
from hybridgen.sampling import SamplingParams


def noise(seed, n_rows, n):
    return torch.from_numpy(np.stack([gumbel(seed, 0, step, (n,)) for step in range(n_rows)]))


def test_noise_is_a_function_of_seed_stream_and_step():
    first = gumbel(7, 1, 3, (4, 5))
    gumbel(8, 1, 4, (100,))
    assert np.array_equal(first, gumbel(7, 1, 3, (4, 5)))
    others = [gumbel(8, 1, 3, (4, 5)), gumbel(7, 2, 3, (4, 5)), gumbel(7, 1, 4, (4, 5)), gumbel(-7, 1, 3, (4, 5))]
    assert all(not np.isclose(first, other).any() for other in others)
    assert first.dtype == np.float32 and np.isfinite(first).all()


def test_choices_follow_the_probabilities():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    chosen = choose(probabilities.log().expand(4000, 4), noise(0, 4000, 4), SamplingParams())
    assert torch.allclose(chosen.bincount(minlength=4) / 4000, probabilities, atol=0.03)
    cold = choose(probabilities.log().expand(4000, 4), noise(0, 4000, 4), SamplingParams(temperature=0.5))
    expected = probabilities.square() / probabilities.square().sum()
    assert torch.allclose(cold.bincount(minlength=4) / 4000, expected, atol=0.03)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(temperature=0), {1}),
        (SamplingParams(top_p=0.5), {1}),
        (SamplingParams(top_p=0.55), {0, 1}),
        (SamplingParams(top_p=0.95), {0, 1, 2}),
        (SamplingParams(), {0, 1, 2, 3}),
    ],
)
def test_filters_keep_the_likeliest(params, expected):
    logits = torch.tensor([0.3, 0.5, 0.15, 0.05]).log().expand(2000, 4)
    assert set(choose(logits, noise(1, 2000, 4), params).tolist()) == expected


def test_filters_look_only_at_what_is_allowed():
    logits = torch.tensor([10.0, 9.0, 1.0, 0.0]).expand(300, 4)
    allowed = torch.tensor([False, False, True, True]).expand(300, 4)
    assert set(choose(logits, noise(2, 300, 4), SamplingParams(top_p=0.9), allowed).tolist()) == {2, 3}
    assert set(choose(logits, noise(2, 300, 4), SamplingParams(temperature=0), allowed).tolist()) == {2}


def test_guidance_is_the_identity_at_one_and_the_unconditional_at_zero():
    a, b = torch.randn(2, 5), torch.randn(2, 5)
    assert torch.allclose(guide(a, b, 1.0), a, atol=1e-6) and torch.equal(guide(a, b, 0.0), b)
    assert torch.allclose(guide(a, b, 3.0) - b, 3 * (a - b), atol=1e-5)


def test_guided_choices_come_from_both_halves_of_the_rows():
    logits, drawn = torch.randn(6, 9), noise(3, 3, 9)
    params = SamplingParams(temperature=0.7, top_p=0.8, guidance_scale=2.0)
    guided = guide(logits[:3], logits[3:], 2.0)
    assert torch.equal(choose(logits, drawn, params), choose(guided, drawn, SamplingParams(0.7, 0.8)))


class Countdown:
    """Takes `length` even tokens."""

    def __init__(self, length):
        self.left = length

    @property
    def is_done(self):
        return self.left == 0

    def allowed(self):
        return (np.arange(6) % 2 == 0) & (self.left > 0)

    def push(self, token):
        assert token % 2 == 0
        self.left -= 1


def test_rows_obey_their_constraints_and_write_the_same_alone():
    logits = torch.randn(6, generator=torch.Generator().manual_seed(0))

    def write_rows(lengths, seeds):
        return write(lambda tokens: logits.expand(len(lengths), 6), [Countdown(n) for n in lengths], seeds, 5, params)

    params = SamplingParams(top_p=0.9)
    together = write_rows([3, 40, 7], [1, 2, 1])
    assert [len(tokens) for tokens in together] == [3, 40, 7]
    assert together[1] == write_rows([40], [2])[0]
    assert together[0] == together[2][:3]


@pytest.mark.parametrize("field", ({"temperature": -1.0}, {"top_p": 0.0}, {"guidance_scale": -0.1}))
def test_impossible_sampling_is_refused(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        SamplingParams(**field)
