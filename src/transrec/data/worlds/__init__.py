"""Small synthetic platforms with known structure: the demo and the tests live on them."""

from transrec.data.worlds.behaviour import Behaviour as Behaviour
from transrec.data.worlds.world import Modalities as Modalities
from transrec.data.worlds.world import SourceAndTargets as SourceAndTargets
from transrec.data.worlds.world import World as World
from transrec.data.worlds.world import source_and_targets as source_and_targets
