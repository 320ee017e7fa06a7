"""The trainings that the contracts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.pairs import Finished, Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Store:
    """Every pair that this session has trained so far."""
    return Store(tmp_path_factory.mktemp("pairs"), teacher)


@pytest.fixture
def finished(model: str, objective: str, store: Store) -> Finished:
    """The one training of a pair."""
    return store.get(model, objective)
