"""One vector is trained as its parts would be."""

from __future__ import annotations

import torch

from tckr.stages.adapt.vector import AdapterVector


def layers() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.GELU(), torch.nn.Linear(5, 3, bias=False))


def convolutions() -> torch.nn.Module:
    """Return a network in the memory layout that denoisers have on CUDA."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GELU(), torch.nn.Conv2d(4, 2, 1), torch.nn.Flatten())
    return model.to(memory_format=torch.channels_last)


def test_a_vector_keeps_the_layout_of_convolutions_in_memory() -> None:
    parts, whole = convolutions(), convolutions()
    adapter = AdapterVector(whole.parameters())
    of_parts, of_joined = torch.optim.SGD(parts.parameters(), lr=0.1), torch.optim.SGD([adapter.joined], lr=0.1)
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    for model, optimizer in ((parts, of_parts), (whole, of_joined)):
        model(images).square().sum().backward()
        optimizer.step()
    for plain, held in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(held, plain)
        assert held.grad is not None
        assert held.ndim < 4 or held.is_contiguous(memory_format=torch.channels_last)
        assert held.ndim < 4 or held.grad.is_contiguous(memory_format=torch.channels_last)
    adapter.set(torch.zeros_like(adapter.joined))
    assert not any(held.any() for held in whole.parameters())


def backward(model: torch.nn.Module, step: int) -> None:
    inputs = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
    model(inputs).square().sum().backward()


def test_a_vector_is_trained_to_the_same_bits() -> None:
    parts, whole = layers(), layers()
    adapter = AdapterVector(whole.parameters())
    of_parts = torch.optim.AdamW(parts.parameters(), lr=1e-2)
    of_joined = torch.optim.AdamW([adapter.joined], lr=1e-2)
    for step in range(5):
        backward(parts, step)
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 0.1)
        of_parts.step()
        of_parts.zero_grad()
        backward(whole, step)
        assert adapter.gradient.norm() > 0.1  # so that it is clipped
        adapter.clip(0.1)
        of_joined.step()
        adapter.gradient.zero_()
    assert all(torch.equal(a, b) for a, b in zip(parts.parameters(), whole.parameters(), strict=True))


def test_backward_passes_add_up_in_the_vector() -> None:
    parts, whole = layers(), layers()
    adapter = AdapterVector(whole.parameters())
    for step in range(2):
        backward(parts, step)
        backward(whole, step)
    expected = torch.cat([parameter.grad.flatten() for parameter in parts.parameters() if parameter.grad is not None])
    assert torch.equal(adapter.gradient, expected)
