"""Settings that are wrong: in the file, and on the command line."""

from __future__ import annotations

from corruption.broken import RECOMMEND, TRAIN, Refused, a_folder_at, nothing, with_lines, with_text, without

STAGES = "stages:\n- objective: {kind: guessing}"

REFUSED = (
    Refused("no such settings", without("small.yaml"), TRAIN, ("small.yaml", "cannot be read")),
    Refused("folder for settings", a_folder_at("small.yaml"), TRAIN, ("small.yaml", "cannot be read")),
    Refused("settings that are no YAML", with_text("small.yaml", "a: [1, 2\nb: }"), TRAIN, ("small.yaml", "not YAML")),
    Refused("settings that are a list", with_text("small.yaml", "- 1\n- 2\n"), TRAIN, ("small.yaml", "a mapping", "list")),
    Refused("settings that are a word", with_text("small.yaml", "fast"), TRAIN, ("small.yaml", "a mapping", "str")),
    Refused("settings that are not UTF-8", with_text("small.yaml", b"tune: caf\xe9\n"), TRAIN, ("small.yaml", "UTF-8")),
    Refused("settings with a zero byte", with_text("small.yaml", "tune: \0\n"), TRAIN, ("small.yaml", "not YAML")),
    Refused(
        "settings that hold objects", with_text("small.yaml", "tune: !!python/object:os.x {}\n"), TRAIN, ("small.yaml",)
    ),
    Refused("unknown section", with_lines("small.yaml", "modell: {}"), TRAIN, ("modell",)),
    Refused("section that is a number", with_text("small.yaml", "training: 3\n"), TRAIN, ("training",)),
    Refused("misspelt setting", with_text("small.yaml", "training: {epoch: 3}\n"), TRAIN, ("training.epoch",)),
    Refused("misspelt in a group", with_text("small.yaml", "model: {items: {widht: 3}}\n"), TRAIN, ("widht", "width")),
    Refused("wrong type", with_text("small.yaml", "training: {epochs: many}\n"), TRAIN, ("epochs", "many", "integer")),
    Refused(
        "out of range", with_text("small.yaml", "training: {epochs: 0}\n"), TRAIN, ("epochs", "greater than or equal to 1")
    ),
    Refused("list for a number", with_text("small.yaml", "training: {epochs: [1, 2]}\n"), TRAIN, ("epochs",)),
    Refused("unknown objective", with_text("small.yaml", "objective: {kind: guessing}\n"), TRAIN, ("guessing", "softmax")),
    Refused("unknown objective of a stage", with_lines("small.yaml", STAGES), TRAIN, ("stages", "guessing", "softmax")),
    Refused("unknown tuning rule", nothing, TRAIN + " --tune half", ("--tune", "'half'", "write full, top:N")),
    Refused("unknown device", nothing, TRAIN + " --training.device abacus", ("--training.device", "abacus", "cpu")),
    Refused(
        "unknown modality", nothing, TRAIN + " --model.items.modalities smell", ("model.items.modalities", "smell", "given")
    ),
    Refused("heads that do not fit", nothing, TRAIN + " --model.users.heads 3", ("heads", "3", "16")),
    Refused("split of nobody", nothing, TRAIN + " --split.kind time --split.test 1.5", ("--split.test", "1.5")),
    Refused("unknown flag", nothing, TRAIN + " --epochs 3", ("--epochs", "--training.epochs")),
    Refused("unknown verb", nothing, "trian data", ("trian", "train")),
    Refused("missing flag", nothing, "train data", ("--out",)),
    Refused("unknown precision", nothing, "index run --precision float8", ("--precision", "float8", "float16")),
    Refused("k is none", nothing, RECOMMEND + " --k 0", ("k is 0", "at least one")),
    Refused("k is no number", nothing, RECOMMEND + " --k few", ("--k", "few")),
    Refused("diversity out of range", nothing, RECOMMEND + " --diversity 2", ("diversity", "2")),
    Refused("unknown items", nothing, "recommend run --history a,b", ("'a'", "ids look like 'i0'")),
    Refused("empty history", nothing, "recommend run --history ,", ("history",)),
    Refused("filter that is none", nothing, RECOMMEND + " --where price<<5", ("price<<5",)),
    Refused("filter over no column", nothing, RECOMMEND + " --where colour=1", ("no column 'colour'", "price")),
    Refused("filter of another type", nothing, RECOMMEND + " --where price<5", ("price<5", "String")),
    Refused("filter that is a number", nothing, RECOMMEND + " --where 5", ("5",)),
)
