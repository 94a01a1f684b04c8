import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos import settings
from bentos.battle.adapter import BattleAdapter
from bentos.contract import Contract, Task
from bentos.core import Core
from bentos.errors import PredictionRefused, SettingsError
from bentos.ids import Ids, Kind, Signed, attack_mark

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
TWO = ["healthy", "ill"]
FIXED = "FMf1ATEA0klrCAcGBQQDAgEZAAkAoYdPcMylLLMAAEA_rDHR-1Gj9tcIcEtX"
"""A duel's id of format 1, signed with the key of bytes 0 to 31 at 1,800,000,000 seconds."""
FIXED_AT = 1_800_000_000


@pytest.fixture(scope="module")
def battle(core: Core) -> Contract:
    return core.contract


@pytest.fixture(scope="module")
def tabular(battle: Contract) -> Contract:
    return other(battle, adapter="tabular", classes=TWO)


def other(contract: Contract, **changes: object) -> Contract:
    return contract.model_copy(update=changes)


def one(ids: Ids, contract: Contract, p: float = 0.75) -> str:
    (text,) = ids.rows(contract, np.array([p]))
    return text


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def refused(ids: Ids, contract: Contract, text: str, now: float | None = None) -> str:
    with pytest.raises(PredictionRefused) as error:
        ids.read(contract, text, now)
    assert error.value.details == [{"field": "prediction_id"}]
    return str(error.value)


NOT_SIGNED = "The prediction id was not signed here, or is of another model."
NONE = "This is no prediction id of this model."


def test_a_binary_row_is_read_back(tabular: Contract) -> None:
    ids = Ids()
    before = int(time.time())
    signed = ids.read(tabular, one(ids, tabular, 0.3))
    assert (signed.kind, signed.version, signed.label, signed.attacks) == (Kind.BINARY, tabular.version, 0, None)
    assert signed.scores == pytest.approx((0.3,), abs=1e-7)
    assert before <= signed.issued <= time.time()


@pytest.mark.parametrize("n", [1, 2, 64])
def test_every_kind_of_row_is_read_back(tabular: Contract, battle: Contract, n: int) -> None:
    rng, ids = np.random.default_rng(n), Ids()

    def back(contract: Contract, scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[Signed]:
        return [ids.read(contract, text) for text in ids.rows(contract, scores)]

    p, values = rng.random(n), rng.normal(0, 1e6, n)
    for contract, kind in ((tabular, Kind.BINARY), (battle, Kind.PAIRING)):
        rows = back(contract, p)
        assert [row.kind for row in rows] == [kind] * n
        assert [row.scores[0] for row in rows] == pytest.approx(p, abs=1e-7)
        assert [row.label for row in rows] == (p >= 0.5).astype(int).tolist()
    regression = other(tabular, task=Task.REGRESSION, classes=None)
    assert [(row.scores, row.label) for row in back(regression, values)] == [((value,), None) for value in values]
    for classes in (2, 3, 32, 33):
        several = other(tabular, task=Task.MULTICLASS, classes=[f"c{number}" for number in range(classes)])
        each = rng.dirichlet(np.ones(classes), n)
        rows = back(several, each)
        assert [row.label for row in rows] == each.argmax(axis=1).tolist()
        kept = each if classes <= 32 else each.max(axis=1, keepdims=True)
        assert np.array([row.scores for row in rows]) == pytest.approx(kept, abs=3e-4)


def test_no_rows_have_no_ids(tabular: Contract) -> None:
    assert Ids().rows(tabular, np.empty(0)) == []


def test_a_duel_is_read_back(battle: Contract) -> None:
    ids = Ids()
    signed = ids.read(battle, ids.duel(battle, 3, "thunderbolt", 9, "surf", p=0.25))
    assert (signed.kind, signed.scores, signed.label) == (Kind.DUEL, (0.25,), 0)
    assert signed.attacks == (attack_mark("thunderbolt"), attack_mark("surf"))


def test_attacks_of_the_dex_have_different_marks(core: Core) -> None:
    assert isinstance(core.adapter, BattleAdapter)
    names = core.adapter.dex.attack_ids
    assert len({attack_mark(name) for name in names}) == len(names) > 100


def test_ids_are_short_and_go_into_a_header_and_a_url(battle: Contract, tabular: Contract) -> None:
    longest = other(tabular, version="v" * 40)
    several = other(longest, task=Task.MULTICLASS, classes=[str(number) for number in range(32)])
    ids = Ids()
    for text, most in (
        (one(ids, tabular), 44),
        (one(ids, longest), 100),
        (ids.duel(battle, 3, "thunderbolt", 9, "surf", p=0.5), 60),
        (ids.rows(several, np.full((1, 32), 1 / 32))[0], 200),
    ):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
        assert len(text) <= most
        assert len(text) % 4 == 0
        ids.read(other(several, version="1") if most == 200 else battle if most == 60 else tabular, text)


def test_no_id_is_given_twice(tabular: Contract) -> None:
    ids, found, lock = Ids(), set[str](), threading.Lock()

    def sign() -> None:
        texts = [text for _ in range(50) for text in (*ids.rows(tabular, np.full(9, 0.5)), one(ids, tabular, 0.5))]
        with lock:
            found.update(texts)

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * 50 * 10
    assert len({ids.read(tabular, text).nonce for text in found}) == len(found)


def test_the_format_is_the_one_that_was_given_out(battle: Contract) -> None:
    signed = Ids([bytes(range(32))]).read(battle, FIXED, FIXED_AT)
    assert signed == Signed(
        Kind.DUEL, "1", FIXED_AT, 72623859790382856, (0.75,), 1, (attack_mark("thunderbolt"), attack_mark("surf"))
    )


@given(bit=st.integers(0, 6 * len(FIXED) - 1))
def test_a_flipped_bit_is_refused(battle: Contract, bit: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place, mask = bit // 6, 1 << bit % 6
    changed = f"{FIXED[:place]}{alphabet[alphabet.index(FIXED[place]) ^ mask]}{FIXED[place + 1 :]}"
    assert refused(Ids([bytes(range(32))]), battle, changed, FIXED_AT) in {NOT_SIGNED, NONE}


URLSAFE = st.text("ABCDEFabcdef0123456789-_", max_size=300)


@given(text=st.one_of(st.text(), URLSAFE, st.builds("{}{}".format, st.sampled_from(["EQ", FIXED[:4], FIXED]), URLSAFE)))
def test_any_text_is_refused(battle: Contract, tabular: Contract, text: str) -> None:
    ids = Ids([bytes(range(32))])
    several = other(tabular, task=Task.MULTICLASS, classes=["a", "b", "c"])
    for contract in (tabular, several, *([battle] if text != FIXED else [])):
        assert refused(ids, contract, text, FIXED_AT) in {NOT_SIGNED, NONE}


@given(cut=st.integers(0, len(FIXED) - 1))
def test_a_shortened_or_lengthened_id_is_refused(battle: Contract, cut: int) -> None:
    for text in (FIXED[:cut], FIXED[cut + 1 :], FIXED + FIXED[cut:], f"{FIXED}=", f"{FIXED}\n"):
        refused(Ids([bytes(range(32))]), battle, text, FIXED_AT)


def test_another_spelling_of_the_same_bytes_is_refused(tabular: Contract) -> None:
    ids = Ids()
    text = next(text for text in (one(ids, tabular) for _ in range(10_000)) if "_" in text)
    ids.read(tabular, text)
    assert refused(ids, tabular, text.replace("_", "/")) == NONE


def test_keys_are_rotated_by_a_list(tabular: Contract) -> None:
    before, during, after = Ids([OLD]), Ids([NEW, OLD]), Ids([NEW])
    text = one(before, tabular)
    during.read(tabular, text)
    assert refused(after, tabular, text) == NOT_SIGNED
    # The first signs.
    after.read(tabular, one(during, tabular))
    assert refused(before, tabular, one(during, tabular)) == NOT_SIGNED
    # While replicas still have the old list, a new key may verify before it signs.
    Ids([OLD, NEW]).read(tabular, one(after, tabular))


def test_replicas_with_one_key_file_read_each_others_ids(tmp_path: Path, tabular: Contract) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# signs\n{secrets.token_hex(32)}\n\n{OLD.hex().upper()}\n")
    one_replica, other_replica = (Ids.open(settings.Ids(keys_file=file)) for _ in range(2))
    assert other_replica.read(tabular, one(one_replica, tabular)).scores == (0.75,)
    one_replica.read(tabular, one(Ids([OLD]), tabular))


def test_a_key_file_that_is_exchanged_signs_at_once(tmp_path: Path, tabular: Contract) -> None:
    for generation, keys in (("1", [OLD]), ("2", [NEW, OLD])):
        (tmp_path / generation).mkdir()
        (tmp_path / generation / "keys").write_text("\n".join(key.hex() for key in keys))
    data, file = tmp_path / "..data", tmp_path / "keys"
    data.symlink_to("1")
    file.symlink_to("..data/keys")
    ids = Ids.open(settings.Ids(keys_file=file))
    text = one(ids, tabular)
    Ids([OLD]).read(tabular, text)
    (tmp_path / "..next").symlink_to("2")
    (tmp_path / "..next").replace(data)

    def signs_with_the_new_one() -> bool:
        try:
            Ids([NEW]).read(tabular, one(ids, tabular))
        except PredictionRefused:
            return False
        return True

    until(signs_with_the_new_one)
    ids.read(tabular, text)
    file.unlink()
    file.write_text("nothing of a key\n")
    until(lambda: not ids.ok)
    assert signs_with_the_new_one()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (OLD.hex() + "\n" + OLD.hex()[:-2], "line 2 is not 32 bytes in hex"),
        (f"0x{OLD.hex()}", "line 1 is not 32 bytes in hex"),
        ("# none\n", "it holds no key"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(SettingsError) as error:
        Ids.open(settings.Ids(keys_file=file))
    assert str(error.value) == f"The file of PDX_IDS_KEYS_FILE cannot be used: {sentence}."


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^A signing key has 32 bytes\.$"):
        Ids([b"short"])


def test_without_a_key_file_a_random_key_signs_and_the_log_warns(
    tabular: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    ids, second = Ids.open(settings.Ids()), Ids.open(settings.Ids())
    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.WARNING, "bentos.ids")] * 2
    assert caplog.messages[0].startswith("PDX_IDS_KEYS_FILE is not set, so prediction ids are signed with a random key")
    assert ids.ok
    text = one(ids, tabular)
    ids.read(tabular, text)
    assert refused(second, tabular, text) == NOT_SIGNED


def test_an_id_has_its_time(tabular: Contract) -> None:
    ids = Ids(max_age_seconds=3 * 86_400)
    text = one(ids, tabular)
    issued = ids.read(tabular, text).issued
    for ok in (issued + 3 * 86_400, issued - 300):
        ids.read(tabular, text, ok)
    assert refused(ids, tabular, text, issued + 4 * 86_400) == (
        "The prediction id is 4.0 days old, and feedback is taken for 3.0 days."
    )
    assert refused(ids, tabular, text, issued - 301) == "The prediction id is from the future."


def test_the_settings_bound_the_age(tabular: Contract) -> None:
    ids = Ids.open(settings.Ids(max_age_seconds=10))
    text = one(ids, tabular)
    assert refused(ids, tabular, text, time.time() + 20).endswith("feedback is taken for 10 s.")


def test_ids_of_another_version_are_read_as_its_own(tabular: Contract) -> None:
    ids = Ids()
    text = one(ids, other(tabular, version="2.0-rc_1"))
    assert ids.read(tabular, text).version == "2.0-rc_1"
    # And signing for one after the other mixes nothing up.
    assert [ids.read(tabular, one(ids, other(tabular, version=version))).version for version in "1213"] == list("1213")


@pytest.mark.parametrize(
    "changes",
    [{"name": "another"}, {"classes": ["ill", "healthy"]}, {"classes": ["healthy", "ill", "dead"]}, {"classes": None}],
)
def test_ids_of_another_model_or_other_classes_are_refused(tabular: Contract, changes: dict[str, object]) -> None:
    ids = Ids()
    assert refused(ids, tabular, one(ids, other(tabular, **changes))) == NOT_SIGNED


def test_ids_of_another_task_or_adapter_are_refused(tabular: Contract, battle: Contract) -> None:
    ids = Ids()
    regression = other(tabular, task=Task.REGRESSION)
    assert refused(ids, regression, one(ids, tabular)) == NONE
    assert refused(ids, battle, one(ids, tabular)) == NONE
    assert refused(ids, tabular, ids.duel(battle, 3, "thunderbolt", 9, "surf", p=0.5)) == NONE


def test_a_key_is_shown_nowhere(tabular: Contract) -> None:
    ids = Ids([OLD])
    one(ids, tabular)
    shown = f"{ids!r} {vars(ids)!r}"
    assert repr(OLD) not in shown
    assert OLD.hex() not in shown
