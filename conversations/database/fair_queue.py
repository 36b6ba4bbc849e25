"""The queue for the connections of a pool: first come, first served, and fair to organizations."""

import threading
from collections import Counter
from uuid import UUID


class _Place:
    """A place in the queue. Once `is_called` is set, `is_served` tells whether it was its turn."""

    def __init__(self, organization_id: UUID | None):
        self.organization_id = organization_id
        self.is_called = threading.Event()
        self.is_served = False


class FairQueue:
    """Who may use one of `size` connections, and who is next.

    Next is the organization that uses the fewest connections, and of its requests the one that came
    first. So no organization keeps the others waiting, however many or slow its requests are.
    Requests whose organization is not known yet (None) count as those of one more organization.
    """

    def __init__(self, size: int):
        self._free = size
        self._used: Counter[UUID | None] = Counter()
        self._places: list[_Place] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._places)

    def enter(self, organization_id: UUID | None, timeout_seconds: float) -> bool:
        """Wait for a turn, which `leave` ends. Return False if there was none in time."""
        with self._lock:
            if self._free:
                self._free -= 1
                self._used[organization_id] += 1
                return True
            place = _Place(organization_id)
            self._places.append(place)
        place.is_called.wait(timeout_seconds)
        with self._lock:
            if not place.is_called.is_set():
                self._places.remove(place)
        return place.is_served

    def leave(self, organization_id: UUID | None) -> None:
        """End a turn of an organization and call who is next."""
        with self._lock:
            self._used[organization_id] -= 1
            if self._used[organization_id] == 0:
                del self._used[organization_id]
            if self._places:
                # Of several, min returns the first.
                place = min(self._places, key=lambda each: self._used[each.organization_id])
                self._places.remove(place)
                self._used[place.organization_id] += 1
                place.is_served = True
                place.is_called.set()
            else:
                self._free += 1

    def turn_away(self) -> None:
        """Let nobody wait any longer: there is nothing to wait for."""
        with self._lock:
            for place in self._places:
                place.is_called.set()
            self._places.clear()
