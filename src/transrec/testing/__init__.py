"""Contract tests for people who write their own encoders and objectives; made for pytest, usable without it."""

from transrec.testing.encoders import ModalityEncoderContract
from transrec.testing.objectives import ObjectiveContract
from transrec.testing.users import UserEncoderContract

__all__ = ["ModalityEncoderContract", "ObjectiveContract", "UserEncoderContract"]
