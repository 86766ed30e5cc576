"""The reader of kallsyms: link-time addresses, and clear words when it is of no use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import SymbolsError
from forensics.isf.kallsyms import read
from tests.isf.blobs import listing

LINKED = 0xFFFF_FFFF_8100_0000


def test_addresses_are_as_the_linker_gave_them() -> None:
    symbols = read(listing(slide=0x1120_0000).encode())
    assert symbols.slide == 0x1120_0000
    assert symbols.addresses["_text"] == LINKED
    assert symbols.addresses["function_7"] == LINKED + 16 * 7


def test_a_system_map_has_no_slide() -> None:
    assert read(listing(slide=0).encode()).slide == 0


def test_per_cpu_and_absolute_symbols_stay_where_they_are() -> None:
    symbols = read(listing(more="0000000000001000 A cpu_debug_store\n").encode())
    assert symbols.addresses["cpu_debug_store"] == 0x1000


def test_symbols_of_modules_are_left_out_and_counted() -> None:
    more = "ffffffffc0000000 t helper\t[ext4]\nffffffffc0001000 t bpf_prog_1\t[bpf]\n"
    symbols = read(listing(more=more).encode())
    assert "helper" not in symbols.addresses
    assert symbols.modules == 2
    assert symbols.unreadable == 0


def test_lines_that_are_no_symbol_are_counted() -> None:
    assert read(listing(more="what is this\n\n").encode()).unreadable == 2


def test_the_first_of_two_addresses_is_kept_and_the_name_told() -> None:
    more = f"{LINKED + 0x1120_0000:016x} t twice\n{LINKED + 0x1120_0010:016x} t twice\n"
    symbols = read(listing(more=more).encode())
    assert symbols.addresses["twice"] == LINKED
    assert symbols.duplicates == {"twice": 2}


def test_a_variable_wins_over_a_function_of_its_name_where_the_type_matters() -> None:
    more = f"{LINKED + 0x1120_0000:016x} t modules\n{LINKED + 0x1120_0010:016x} D modules\n"
    assert read(listing(more=more).encode()).addresses["modules"] == LINKED + 0x10


ZERO = "\n".join(f"{0:016x} T {name}" for name in ["_text", *(f"f{n}" for n in range(1500))]) + "\n"
STUB = "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ZERO, "are zero"),
        (STUB, "1 lines"),
        ("", "0 lines"),
        ("nonsense\n" * 2000, "none of its lines"),
        (listing().replace("D init_task", "D other"), "has no init_task"),
        (listing().replace("D linux_banner", "D other"), "has no linux_banner"),
        (listing().replace("T _text", "T other"), "has no _text"),
        (listing(slide=0x1000), "no place for a kernel"),
        (listing().replace("ffffffff", "ffff8000"), "no x86-64 kernel"),
    ],
    ids=["zeroed", "stub", "empty", "nonsense", "functions only", "no banner", "no text", "slide", "arm64"],
)
def test_a_list_of_no_use_is_an_error_that_says_what_to_do(text: str, says: str) -> None:
    with pytest.raises(SymbolsError, match=says) as error:
        read(text.encode())
    assert error.value.remedy


def test_another_boots_offset_is_refused() -> None:
    assert read(listing(slide=0x20_0000).encode(), kernel_offset=0x20_0000).slide == 0x20_0000
    with pytest.raises(SymbolsError, match="was moved by 0x200000"):
        read(listing(slide=0x20_0000).encode(), kernel_offset=0x40_0000)


def test_a_kernel_linked_elsewhere_is_known_by_its_config() -> None:
    text = listing(slide=0x100_0000)
    assert read(text.encode(), physical_start=0x200_0000).slide == 0


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_lines_among_good_ones_are_counted_and_harmless(lines: list[bytes]) -> None:
    symbols = read(listing().encode() + b"\n".join(lines) + b"\n")
    assert symbols.addresses["_text"] == LINKED
