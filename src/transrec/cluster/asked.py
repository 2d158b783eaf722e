"""Cluster: which machines a verb is to use, and how many processes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from transrec.errors import SettingsError

LOCAL: Final = "local"
"""This machine: a cluster of one is started for the verb and ended with it."""
AUTO: Final = "auto"
"""The cluster that this machine is a node of."""


@final
@dataclass(frozen=True, slots=True)
class Cluster:
    """Machines that are joined by Ray.

    Attributes:
        address: ``local``, ``auto``, or HOST:PORT of the head node.
        workers: how many processes do the work, each with a GPU or a CPU of its own.

    Raises:
        SettingsError: the address has another form, or there is no worker.
    """

    address: str
    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SettingsError(f"--workers is {self.workers}", remedy="give at least one")
        if self.address not in (LOCAL, AUTO) and self.host_and_port is None:
            client = " (ray:// is the address of Ray's client, which cannot do this)" if "//" in self.address else ""
            raise SettingsError(
                f"{self.address!r} is no address of a cluster{client}",
                where="--cluster",
                remedy="give local, auto, or HOST:PORT as `ray start --head` has told it, on a node of the cluster",
            )

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Where the head node listens; None where the address does not say."""
        host, _, port = self.address.rpartition(":")
        return (host, int(port)) if host and "/" not in host and port.isdecimal() else None

    @classmethod
    def asked(cls, address: str | None, workers: int | None) -> Cluster | None:
        """The cluster that ``--cluster`` and ``--workers`` ask for; None when neither is given.

        Raises:
            SettingsError: one of them is given without the other, or they are out of range.
        """
        if address is None and workers is None:
            return None
        if address is None:
            raise SettingsError(
                "--workers is the number of processes on a cluster",
                remedy="say which: --cluster local for this machine, --cluster HOST:PORT for another; "
                "without Ray, torchrun --nproc-per-node N -m transrec train ... trains in several processes",
            )
        if workers is None:
            raise SettingsError("--cluster does not say how many processes do the work", remedy="add --workers N")
        return cls(address, workers)
