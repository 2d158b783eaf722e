"""The topics and styles that a world is drawn from: the words that speak of them, and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dialect = Literal["shop", "magazine"]
"""How a platform speaks and draws: short product titles and flat pictures, or headlines and outlined pictures."""

Texture = Literal["plain", "stripes", "dots", "checks", "grid", "rays", "waves", "paper"]


@dataclass(frozen=True, slots=True)
class Words:
    """Words for one thing: those that every platform uses, and the synonyms that only one dialect knows."""

    shared: tuple[str, ...]
    shop: tuple[str, ...]
    magazine: tuple[str, ...]

    def of(self, dialect: Dialect) -> tuple[str, ...]:
        """What this dialect says."""
        return self.shared + (self.shop if dialect == "shop" else self.magazine)

    @property
    def all(self) -> tuple[str, ...]:
        """What any dialect says."""
        return self.shared + self.shop + self.magazine


@dataclass(frozen=True, slots=True)
class Topic:
    """What an item is about.

    Attributes:
        name: what to call it; also the name of its motif in pictures.
        hue: the main colour of its motif, in degrees.
        things: nouns that speak of it.
        acts: what one does there, to follow "for" or "on".
    """

    name: str
    hue: float
    things: Words
    acts: Words


@dataclass(frozen=True, slots=True)
class Style:
    """How an item is: independent of its topic, and what a user's taste is about.

    Attributes:
        name: what to call it.
        words: adjectives that speak of it.
        texture: the pattern behind the motif.
        ground: hue in degrees, saturation and value (0 to 1) of what is behind the motif.
        ink: the same of the pattern on it.
    """

    name: str
    words: Words
    texture: Texture
    ground: tuple[float, float, float]
    ink: tuple[float, float, float]


def _words(text: str) -> Words:
    """``"shared, shared / shop / magazine"`` as words."""
    shared, shop, magazine = (tuple(word.strip() for word in part.split(",")) for part in text.split("/"))
    return Words(shared, shop, magazine)


def _topic(name: str, hue: float, things: str, acts: str) -> Topic:
    return Topic(name, hue, _words(things), _words(acts))


TOPICS = (
    _topic(
        "orchard", 0,
        "apple pie, cherry crate, pear tree, plum jam, peach slice / cider barn, apricot syrup / quince tart, "
        "damson crumble",
        "picking apples, juicing cherries, pruning pear trees / stewing apricots / bottling damsons",
    ),
    _topic(
        "pottery", 15,
        "clay vase, glazed saucer, stoneware jug, ceramic plate, terracotta amphora / porcelain dish, "
        "kiln shelf / earthen urn, slipware tile",
        "throwing clay, glazing saucers, firing stoneware / trimming porcelain / shaping urns",
    ),
    _topic(
        "baking", 30,
        "sourdough loaf, cupcake, flour sifter, butter croissant, oven mitt / muffin batter, "
        "icing sugar / brioche bun, yeast starter",
        "kneading dough, frosting cupcakes, proving a loaf / icing muffins / braiding brioche",
    ),
    _topic(
        "beekeeping", 45,
        "honey jar, beehive frame, bee smoker, honeycomb block, pollen comb / beeswax candle, "
        "hive stand / nectar spoon, swarm catcher",
        "keeping bees, harvesting honey, smoking a beehive / melting beeswax / calming a swarm",
    ),
    _topic(
        "jazz", 60,
        "saxophone reed, trumpet mute, melody book, swing record, piano stool / metronome, "
        "drum brush / trombone case, rhythm shaker",
        "playing saxophone, humming a melody, swinging on trumpet / drumming rhythm / jamming on trombone",
    ),
    _topic(
        "tennis", 75,
        "tennis racket, match scoreboard, court shoe, serve trainer, tennis grip / umpire chair, "
        "sweatband / volley drill, baseline chalk",
        "serving aces, winning a tennis match, restringing a racket / booking a court / perfecting a volley",
    ),
    _topic(
        "gardening", 90,
        "seed packet, garden trowel, watering can, compost bin, leaf rake / seedling pots, "
        "planter / wheelbarrow, hoe",
        "sowing seeds, turning compost, watering a garden / potting seedlings / digging with a hoe",
    ),
    _topic(
        "camping", 105,
        "canvas tent, camp stove, sleeping mat, forest lantern, trail backpack / tent peg, "
        "hammock / campfire kettle, bivouac sack",
        "pitching a tent, hiking a forest trail, sleeping outdoors / hanging a hammock / singing at the campfire",
    ),
    _topic(
        "cacti", 120,
        "potted cactus, desert succulent, aloe plant, prickly pad, spiny agave / gravel mix, "
        "terrarium / sand dune, cereus bloom",
        "repotting a cactus, propagating succulents, growing aloe / building a terrarium / crossing a desert",
    ),
    _topic(
        "chess", 135,
        "chess board, carved pawn, knight fork, rook endgame, bishop pair / queen set, "
        "chess manual / gambit notebook, checkmate puzzle",
        "opening with a pawn, castling a rook, solving chess problems / trading queens / finding checkmate",
    ),
    _topic(
        "tea", 150,
        "tea cosy, matcha cup, oolong leaves, lidded teacup, jasmine infusion / strainer, "
        "chai blend / samovar, sencha whisk",
        "brewing oolong, whisking matcha, steeping jasmine / blending chai / pouring from a samovar",
    ),
    _topic(
        "birds", 165,
        "bird feeder, robin nest, owl house, feather guide, songbird call / binocular, "
        "finch perch / heron hide, plumage atlas",
        "watching birds, feeding robins, listening to an owl / ringing finches / sketching herons",
    ),
    _topic(
        "diving", 180,
        "diving mask, coral reef, snorkel tube, reef fish, flipper / wetsuit, oxygen gauge / seahorse sketch, "
        "lagoon postcard",
        "snorkelling a reef, diving with fish, exploring coral / rinsing a wetsuit / drifting through a lagoon",
    ),
    _topic(
        "sailing", 195,
        "sailing boat, anchor rope, harbour flag, mast pulley, deck compass / dinghy, rudder / regatta trophy, "
        "spinnaker",
        "hoisting a mast, sailing past the harbour, dropping anchor / steering a dinghy / racing a regatta",
    ),
    _topic(
        "winter", 210,
        "snow globe, ice skate, sledge, ski pole, frost scarf / snowshoe, mitten / icicle, blizzard coat",
        "skating on ice, skiing fresh snow, pulling a sledge / knocking down icicles / surviving a blizzard",
    ),
    _topic(
        "trains", 225,
        "steam locomotive, railway carriage, station whistle, signal lever, express train / track ballast, "
        "tunnel brick / sleeper car, timetable",
        "driving a locomotive, riding the railway, meeting at a station / laying track / studying a timetable",
    ),
    _topic(
        "astronomy", 240,
        "star catalogue, telescope, planet poster, moon mobile, comet diary / galaxy hologram, "
        "orbit clockwork / nebula painting, eclipse",
        "gazing at stars, aiming a telescope, mapping a planet / tracing an orbit / chasing an eclipse",
    ),
    _topic(
        "cycling", 255,
        "road bicycle, pedal wrench, saddle, chain oil, bike bell / handlebar, spoke key / velodrome ticket, "
        "peloton jersey",
        "pedalling a bicycle, oiling a chain, cycling uphill / truing a spoke / sprinting in the peloton",
    ),
    _topic(
        "photography", 270,
        "film camera, darkroom timer, portrait lens, tripod, shutter release / flash diffuser, "
        "negative sleeve / contact sheet, aperture ring",
        "developing film, framing a portrait, setting up a tripod / testing a flash / choosing an aperture",
    ),
    _topic(
        "vineyard", 285,
        "grape bunch, wine barrel, cork puller, cellar rack, vine cutting / decanter, "
        "merlot glass / vintner apron, sommelier knife",
        "crushing grapes, tasting wine, tidying a cellar / decanting merlot / visiting vintners",
    ),
    _topic(
        "knitting", 300,
        "yarn skein, knitting needle, wool sock, crochet hook, chunky sweater / stitch counter, "
        "mohair shawl / cardigan, purl sampler",
        "knitting a sweater, winding yarn, darning wool socks / casting on stitches / learning to purl",
    ),
    _topic(
        "flowers", 315,
        "tulip bouquet, rose stem, daisy crown, peony wreath, petal confetti / lily posy, "
        "orchid spray / dahlia border, florist ribbon",
        "arranging tulips, pressing petals, gathering roses / misting an orchid / thinking like a florist",
    ),
    _topic(
        "letters", 330,
        "paper envelope, fountain pen, postage stamp, wax seal, ink well / notecard, letter opener / telegram, "
        "calligraphy nib",
        "writing letters, sealing envelopes, collecting stamps / filling a fountain pen / mastering calligraphy",
    ),
    _topic(
        "mushrooms", 345,
        "mushroom stew, chanterelle soup, toadstool sketchbook, truffle shaver, porcini risotto / spore jelly, "
        "mycelium log / morel omelette, fungus almanac",
        "foraging mushrooms, frying porcini, hunting truffles / spreading spores / naming a fungus",
    ),
)  # fmt: skip


STYLES = (
    Style(
        "calm", _words("quiet, gentle, soft, peaceful / serene, hushed / tranquil, unhurried"),
        "plain", (205, 0.12, 0.97), (205, 0.25, 0.90),
    ),
    Style(
        "bold", _words("daring, loud, fearless, electric / blazing, punchy / brazen, thundering"),
        "stripes", (350, 0.55, 0.45), (350, 0.60, 0.25),
    ),
    Style(
        "vintage", _words("antique, classic, retro, timeworn / heritage, handed-down / nostalgic, faded"),
        "paper", (38, 0.32, 0.88), (32, 0.50, 0.62),
    ),
    Style(
        "futuristic", _words("robotic, digital, modular, neon / automated, chrome / cybernetic, holographic"),
        "grid", (230, 0.65, 0.17), (185, 0.75, 0.55),
    ),
    Style(
        "playful", _words("silly, cheerful, bouncy, giggly / cheeky, quirky / mischievous, whimsical"),
        "dots", (52, 0.22, 1.00), (330, 0.40, 0.98),
    ),
    Style(
        "lavish", _words("golden, velvet, opulent, regal / gilded, jewelled / sumptuous, palatial"),
        "rays", (275, 0.60, 0.30), (42, 0.60, 0.60),
    ),
    Style(
        "wild", _words("rugged, untamed, stormy, feral / weathered, muddy / savage, windswept"),
        "waves", (150, 0.40, 0.40), (120, 0.40, 0.58),
    ),
    Style(
        "tiny", _words("miniature, pocket, little, dainty / petite, compact / minuscule, teeny"),
        "checks", (0, 0.00, 0.97), (160, 0.22, 0.84),
    ),
)  # fmt: skip
