"""ItemEncoder: the item tower; routes every item to the encoders of the modalities it has, and fuses what they make of it.

Axes: U items of a batch, n of them that have a modality, D width.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transrec.data.batches import ItemBatch
from transrec.data.catalog import Catalog
from transrec.errors import ModelError, RunError, SettingsError
from transrec.finding import class_at
from transrec.items.encoder import ModalityEncoder
from transrec.items.features import FeatureEncoder
from transrec.items.fusion import build_fusion, drop_views
from transrec.items.identity import IdentityEncoder, IdentitySettings
from transrec.items.image import ImageEncoder
from transrec.items.projection import Projection
from transrec.items.settings import AUTO, ItemSettings
from transrec.items.text import TextEncoder
from transrec.nesting import Nesting
from transrec.views import ItemViews

FORMAT = 1


class ItemEncoder(nn.Module):
    """Items as vectors, from whichever modalities each of them has (TransRec, arXiv 2206.06190).

    Every modality's encoder sees only the items that have it; its vectors are projected and put into their slots by index,
    the other slots are zero. Fusing is a separate step. An identity table needs no projection and gets none.

    Args:
        encoders: by modality; each must call itself by the name under which it is given.
        settings: width, projection, fusion and modality dropout.

    Attributes:
        at_once: items that an encoder reads at a time where gradients are wanted; all when None. See
            :func:`~transrec.items.chunks.in_chunks`.

    Raises:
        ModelError: there is no encoder, a name cannot be used, or an identity table has another width.
    """

    def __init__(self, encoders: Mapping[str, ModalityEncoder], settings: ItemSettings) -> None:
        super().__init__()
        _check_names(encoders)
        self.width = settings.width
        self.settings = settings
        nesting = Nesting.of(settings.width, settings.nested)
        self.encoders = nn.ModuleDict(encoders)
        self.projections = nn.ModuleDict({name: _projection(encoder, settings) for name, encoder in encoders.items()})
        self.fusion = build_fusion(settings.fusion, list(encoders), settings.width, nesting)
        self.at_once: int | None = None

    def forward(self, batch: ItemBatch) -> ItemViews:
        """Encode the distinct items of a batch.

        Raises:
            ModelError: the batch holds a modality that no encoder is there for.
        """
        unknown = set(batch.parts) - set(self.encoders)
        if unknown:
            raise ModelError(f"the batch holds {sorted(unknown)}, the item tower reads {list(self.encoders)}")
        views = {name: self._view(name, batch) for name in self.encoders}
        present = {name: self._present(name, batch) for name in self.encoders}
        if self.training and self.settings.modality_dropout > 0:
            present = drop_views(present, self.settings.modality_dropout)
            views = {name: torch.where(present[name][:, None], view_UD, 0.0) for name, view_UD in views.items()}
        return ItemViews(views, present, self.fusion(views, present))

    def _view(self, name: str, batch: ItemBatch) -> Tensor:
        """One modality's vectors in the slots of the items that have it, zeros elsewhere, (U, D)."""
        part = batch.parts.get(name)
        if part is None or not len(part.index_n):
            return torch.zeros(batch.size, self.width, device=self._like.device, dtype=self._like.dtype)
        vectors = self.preparers()[name].encode(part, self.at_once if torch.is_grad_enabled() else None)
        projection = self.projections[name]
        projected_nD: Tensor = (
            projection(vectors, batch.platform) if isinstance(projection, Projection) else projection(vectors)
        )
        return projected_nD.new_zeros(batch.size, self.width).index_copy(0, part.index_n, projected_nD)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[ItemBatch], modalities: Collection[str], *, seed: int = 0) -> None:
        """Let these encoders' projections start from what the encoders make of these items; see :class:`Projection`.

        Identity tables have none. With a random start given vectors are centred only: they are standardised already.

        Args:
            batches: of items.
            modalities: whose projections start fresh.
            seed: of what is random in a start.
        """
        for name, samples in self._made(batches, modalities).items():
            if isinstance(self.encoders[name], FeatureEncoder) and self.settings.start == "random":
                self._projection_of(name).centre(samples)  # they are standardised already, on the first platform
            elif not isinstance(self.encoders[name], IdentityEncoder):
                generator = torch.Generator().manual_seed(seed + 1 + list(self.encoders).index(name))
                self._projection_of(name).calibrate(samples, self.settings.start, generator=generator)

    @property
    def projected(self) -> list[str]:
        """The encoders whose vectors are standardised and projected: all but identity tables."""
        return [name for name, projection in self.projections.items() if isinstance(projection, Projection)]

    @torch.no_grad()
    def align(self, batches: Iterable[ItemBatch], modalities: Collection[str]) -> None:
        """Let these encoders' projections begin anew on these items, in agreement with what they are.

        See :meth:`~transrec.items.projection.Projection.align`.

        Args:
            batches: of items.
            modalities: whose projections.
        """
        for name, samples in self._made(batches, modalities).items():
            self._projection_of(name).align(samples)

    @torch.no_grad()
    def centre(self, batches: Iterable[ItemBatch], modalities: Collection[str] | None = None) -> None:
        """Centre the items of other platforms than those that the projections started on, each on their own mean.

        Does nothing where vectors are not standardised.

        Args:
            batches: of items.
            modalities: whose vectors; all when None.
        """
        if self.settings.standardise:
            chosen = list(self.encoders) if modalities is None else modalities
            for name, samples in self._made(batches, chosen).items():
                if not isinstance(self.encoders[name], IdentityEncoder):
                    self._projection_of(name).centre(samples)

    @torch.no_grad()
    def centre_like(self, other: ItemEncoder) -> None:
        """Begin with the mean over all platforms of another tower; what is found on a platform takes its place later."""
        for name, projection in self.projections.items():
            if isinstance(projection, Projection):
                projection.means.copy_(other._projection_of(name).means.mean(dim=0))

    def _made(self, batches: Iterable[ItemBatch], modalities: Collection[str]) -> dict[str, dict[int, Tensor]]:
        """What the encoders of these modalities make of some items, by modality and platform."""
        self.eval()
        found: dict[str, dict[int, list[Tensor]]] = {}
        for batch in batches:
            for name in modalities:
                part = batch.parts.get(name)
                if part is not None:
                    made = self.preparers()[name].encode(part)
                    found.setdefault(name, {}).setdefault(batch.platform, []).append(made)
        return {name: {place: torch.cat(made) for place, made in each.items()} for name, each in found.items()}

    def _projection_of(self, name: str) -> Projection:
        projection = self.projections[name]
        assert isinstance(projection, Projection)
        return projection

    def _present(self, name: str, batch: ItemBatch) -> Tensor:
        """Which items have a modality, bool (U,)."""
        present_U = torch.zeros(batch.size, dtype=torch.bool, device=self._like.device)
        part = batch.parts.get(name)
        return present_U if part is None else present_U.index_fill(0, part.index_n, value=True)

    def preparers(self) -> Mapping[str, ModalityEncoder]:
        """The encoders by modality, as the content store takes them."""
        return {name: encoder for name, encoder in self.encoders.items() if isinstance(encoder, ModalityEncoder)}

    @property
    def _like(self) -> Tensor:
        """A tensor on the device and of the type of this module."""
        return next(self.parameters())

    # ---- disk ---------------------------------------------------------------------------------------------------------

    def save_assets(self, folder: str | Path) -> None:
        """Write what :meth:`from_assets` needs, without the weights: a folder for each encoder."""
        for place, (name, encoder) in enumerate(self.encoders.items()):
            assert isinstance(encoder, ModalityEncoder)
            own = Path(folder) / name
            own.mkdir(parents=True, exist_ok=True)
            encoder.save_assets(own)
            kind = type(encoder)
            manifest = {"format": FORMAT, "class": f"{kind.__module__}:{kind.__qualname__}", "place": place}
            (own / "encoder.json").write_text(json.dumps(manifest, indent=2))

    @classmethod
    def from_assets(cls, folder: str | Path, settings: ItemSettings) -> ItemEncoder:
        """Rebuild the tower from :meth:`save_assets`; the weights are loaded afterwards by the caller.

        Raises:
            RunError: the folder lacks its encoders or is of a newer format.
            ModelError: the class of an encoder cannot be found.
        """
        manifests = {path.parent: _manifest(path) for path in Path(folder).glob("*/encoder.json")}
        if not manifests:
            raise RunError("there are no encoders", where=str(folder), remedy="copy the whole run folder")
        ordered = sorted(manifests, key=lambda own: manifests[own]["place"])
        wanted = settings.modalities
        names = [own.name for own in ordered]
        if AUTO not in wanted and set(wanted) != set(names):
            told = f"the settings name {list(wanted)}, the folder has {names}"
            raise RunError(told, where=str(folder), remedy="copy the whole run folder")
        classes = {own: class_at(manifests[own]["class"], ModalityEncoder) for own in ordered}
        encoders = {own.name: kind.from_assets(own) for own, kind in classes.items()}
        table = encoders.get("identity")
        if isinstance(table, IdentityEncoder) and len(encoders) > 1:  # runs from before there was shrinkage have none
            settings = settings.model_copy(update={"identity": IdentitySettings(shrinkage=table.shrinkage)})
        return cls(encoders, settings)


def build_items(settings: ItemSettings, catalogs: Sequence[Catalog]) -> ItemEncoder:
    """The item tower for one catalog or several: pre-trained encoders where the settings name them, everything else fresh.

    Its ``settings`` say which modalities ``auto`` came to be.

    Raises:
        SettingsError: the settings name a modality that no catalog has.
        ModelError: an encoder cannot be built.
    """
    names = _modalities(settings, catalogs)
    encoders = {name: _build_encoder(name, settings, catalogs, beside_content=len(names) > 1) for name in names}
    return ItemEncoder(encoders, settings.model_copy(update={"modalities": names, "platforms": len(catalogs)}))


# ---- building ---------------------------------------------------------------------------------------------------------


def _modalities(settings: ItemSettings, catalogs: Sequence[Catalog]) -> tuple[str, ...]:
    held = tuple(dict.fromkeys(name for catalog in catalogs for name in catalog.modalities))
    names = settings.named((*held, *(name for name in settings.custom if name not in held)))
    if AUTO in settings.modalities and not set(names) - {"identity"}:
        raise ModelError("the catalog has no items with content", remedy="ingest items with text, pictures or vectors")
    known = {*held, *settings.custom, "identity"}
    lacking = [name for name in names if name not in known]
    if lacking or not names:
        raise SettingsError(
            f"the catalog has no {', '.join(lacking)}" if lacking else "no modality is named",
            where="model.items.modalities",
            remedy=f"choose among {', '.join((*held, 'identity'))}, or name an encoder of your own under model.items.custom",
        )
    return names


def _build_encoder(
    name: str, settings: ItemSettings, catalogs: Sequence[Catalog], *, beside_content: bool
) -> ModalityEncoder:
    if name in settings.custom:
        kind = class_at(settings.custom[name], ModalityEncoder, where=f"model.items.custom.{name}")
        return kind.from_options(settings.custom_options.get(name, {}))
    if name == "text":
        return TextEncoder.from_settings(settings.text)
    if name == "image":
        return ImageEncoder.from_settings(settings.image)
    if name == "identity":
        ids = [item_id for catalog in catalogs for item_id in catalog.ids]
        if len(set(ids)) < len(ids):
            raise ModelError(
                f"{len(ids) - len(set(ids)):,} item ids occur on more than one of the platforms, so one identity table "
                "would mix up different items",
                where="model.items.modalities",
                remedy="train an identity encoder on one platform, or make the ids differ",
            )
        return table_of(ids, settings, beside_content=beside_content)
    catalog = next(catalog for catalog in catalogs if name in catalog.modalities)
    return FeatureEncoder.from_catalog(catalog, name, standardise=settings.standardise)


def table_of(ids: Sequence[str], settings: ItemSettings, *, beside_content: bool) -> IdentityEncoder:
    """A fresh table of item ids; one that stands by itself is never shrunk."""
    return IdentityEncoder(ids, settings.width, settings.identity.shrinkage if beside_content else 0.0)


def _projection(encoder: ModalityEncoder, settings: ItemSettings) -> nn.Module:
    if isinstance(encoder, IdentityEncoder):
        if encoder.width != settings.width:
            raise ModelError(f"the identity table has the width {encoder.width}, the item tower {settings.width}")
        return nn.Identity()  # a table times a matrix is another table
    nesting = Nesting.of(settings.width, settings.nested)
    return Projection(encoder.width, settings.width, settings.projection, settings.platforms, nesting)


def _check_names(encoders: Mapping[str, ModalityEncoder]) -> None:
    if not encoders:
        raise ModelError("the item tower has no encoder", remedy="give it at least one")
    for name, encoder in encoders.items():
        if not isinstance(encoder, ModalityEncoder):
            raise ModelError(f"{type(encoder).__name__} is not a ModalityEncoder", where=name)
        if encoder.modality != name:
            raise ModelError(
                f"{type(encoder).__name__} reads {encoder.modality!r} but stands under {name!r}",
                remedy=f"give it as {encoder.modality!r}, or set its modality",
            )
        # names become parts of parameter names and of paths
        if not re.fullmatch(r"\w[\w-]*", name) or hasattr(nn.ModuleDict, name) or name in nn.ModuleDict().__dict__:
            raise ModelError(
                f"a modality cannot be called {name!r}", remedy="use letters, digits, - and _, say 'clip_vectors'"
            )


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
        newer, complete = found["format"] > FORMAT, {"class", "place"} <= set(found)
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError("the description of an encoder is damaged", where=str(path), remedy="copy the run again") from None
    if newer or not complete:
        raise RunError(f"this encoder was written in format {found['format']}", where=str(path), remedy="upgrade transrec")
    return dict(found)
