"""Tables of text as people have them become the same columns; what cannot be read surely is refused in a sentence."""

import bz2
import gzip
import lzma
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from lake.errors import UserError
from pipeline.source.text.csv_files import TextTable, is_text_table, scan_text

ROWS = [("i/0.jpg", "Möwe", 0.5), ("i/a, 1.jpg", "Spatz", 1.0), ("i/2.jpg", 'der "große" Uhu', 10.25)]


def text(delimiter: str = ",", *, end: str = "\n", comma: str = ".") -> str:
    """The rows as a program writes them, in quotes where it must."""
    lines = [["image", "label", "iso"], *([name, label, str(iso).replace(".", comma)] for name, label, iso in ROWS)]
    return "".join(delimiter.join(quote(value, delimiter) for value in line) + end for line in lines)


def quote(value: str, delimiter: str) -> str:
    return f'"{value.replace(chr(34), 2 * chr(34))}"' if delimiter in value or '"' in value else value


def scan(tmp_path: Path, content: str | bytes, name: str = "list.csv") -> TextTable:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return scan_text(path)


def refusal(tmp_path: Path, content: str | bytes, name: str = "list.csv") -> str:
    with pytest.raises(UserError) as caught:
        scan(tmp_path, content, name)
    return str(caught.value)


def is_right(table: TextTable) -> bool:
    """Whether a table has the rows above."""
    iso = table.frame["iso"].str.replace(",", ".", literal=True).cast(pl.Float64)
    return table.frame.with_columns(iso).rows() == ROWS and table.frame.columns == ["image", "label", "iso"]


# --- delimiters


@pytest.mark.parametrize(
    ("delimiter", "said"), [(",", ""), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
@pytest.mark.parametrize("name", ["list.csv", "LIST.TSV", "list.txt", "list.tab"])
def test_the_lines_tell_the_delimiter_and_the_suffix_does_not(
    delimiter: str, said: str, name: str, tmp_path: Path
) -> None:
    table = scan(tmp_path, text(delimiter), name)
    assert is_right(table) and table.remark == said


def test_a_comma_in_every_value_does_not_divide_a_file_with_tabs(tmp_path: Path) -> None:
    table = scan(tmp_path, "image\tlabel\na.jpg\tcat, small\nb.jpg\tdog, large\n")
    assert table.frame["label"].to_list() == ["cat, small", "dog, large"]


def test_semicolons_with_decimal_commas_in_every_row_are_semicolons(tmp_path: Path) -> None:
    table = scan(tmp_path, "image;score\na.jpg;0,5\nb.jpg;0,25\n")
    assert table.frame.columns == ["image", "score"] and table.remark == "semicolons, decimal commas"
    assert table.decimal_commas and table.frame["score"].to_list() == ["0,5", "0,25"]


@pytest.mark.parametrize("content", ["path\na.jpg\nb, 1.jpg\nc.jpg\n", "path\na, 1.jpg\nb, 2.jpg\nc, 3.jpg\n"])
def test_a_list_of_paths_is_one_column_whatever_the_names_hold(content: str, tmp_path: Path) -> None:
    table = scan(tmp_path, content)
    assert table.frame["path"].to_list() == content.split("\n")[1:-1] and table.remark == ""


@pytest.mark.parametrize("declared", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_delimiter_that_excel_declares_is_taken(declared: str, tmp_path: Path) -> None:
    assert is_right(scan(tmp_path, f"\ufeff{declared}\r\n" + text(";", end="\r\n")))


# --- encodings and line ends


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", 'Windows-1252 (such as "Möwe")'),
        ("mac_roman", 'Mac OS Roman (such as "Möwe")'),
        ("cp850", 'DOS code page 850 (such as "Möwe")'),
    ],
)
def test_every_encoding_gives_the_same_text_and_what_is_not_utf_8_is_said(
    codec: str, said: str, tmp_path: Path
) -> None:
    table = scan(tmp_path, text(";").encode(codec))
    assert is_right(table) and table.remark == ", ".join(filter(None, ["semicolons", said]))


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("cp1252", "forêt château élan"),
        ("cp1252", "niño árbol león"),
        ("cp1252", "it’s a “cat”"),
        ("cp1252", "20 °C 5 µm"),
        ("cp1250", "łabędź żaba śledź"),
        ("cp1250", "kůň žába kočka"),
        ("cp1250", "nyúl őz tűz"),
        ("iso8859_2", "łabędź śledź wąż"),
        ("cp1251", "кошка собака птица"),
        ("koi8_r", "кошка собака птица"),
        ("cp1253", "γάτα σκύλος"),
        ("cp1254", "kuş balığı şahin"),
        ("cp1255", "חתול כלב"),
        ("cp1256", "قطة كلب طائر"),
        ("cp874", "แมว สุนัข"),
        ("shift_jis", "猫 犬 ねこ カラス"),
        ("shift_jis", "合格 不合格"),
        ("euc_jp", "猫 ねこ カラス"),
        ("gbk", "猫 狗 鸟 飞机 汽车"),
        ("gbk", "正常 异常"),
        ("big5", "貓 狗 鳥 飛機"),
        ("cp949", "고양이 개 강아지 자동차"),
    ],
)
def test_words_of_many_languages_are_recognised_by_their_letters(codec: str, words: str, tmp_path: Path) -> None:
    labels = words.split(" ")
    table = scan(
        tmp_path, ("image,label\n" + "".join(f"{i}.jpg,{label}\n" for i, label in enumerate(labels))).encode(codec)
    )
    assert table.frame["label"].to_list() == labels
    assert table.remark.split("such as ")[1].strip('")') in words


def test_a_letter_beyond_ascii_that_comes_late_is_read_too(tmp_path: Path) -> None:
    lines = "".join(f"{i}.jpg,cat\n" for i in range(200_000))
    table = scan(tmp_path, ("image,label\n" + lines + "x.jpg,Möwe\n").encode("cp1252"))
    assert table.frame.row(-1) == ("x.jpg", "Möwe") and table.frame.height == 200_001


def test_damaged_utf_8_is_refused_with_its_line_and_not_read_as_another_encoding(tmp_path: Path) -> None:
    content = text().encode() + "i/3.jpg,Krähe,1\ni/4.jpg,Kr".encode() + b"\xe4he,1\n"
    assert "line 6 is not" in refusal(tmp_path, content) and "UTF-8" in refusal(tmp_path, content)


def test_a_character_that_is_cut_is_refused_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, text(end="\r\n").encode("utf-16")[:-1]).startswith("Line 5 of the table")


def test_bytes_that_are_no_words_of_any_encoding_are_refused(tmp_path: Path) -> None:
    assert "cannot be told, as line 2 is not UTF-8" in refusal(tmp_path, b"image,label\na.jpg,x\xa4\xa5\x01y\xa6z\n")


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", "\r\r\n"])
def test_lines_may_end_in_any_way(end: str, tmp_path: Path) -> None:
    assert is_right(scan(tmp_path, text(end=end)))


def test_blank_lines_and_rows_of_delimiters_are_no_rows(tmp_path: Path) -> None:
    table = scan(tmp_path, "\r\n" + text(end="\r\n") + "\r\n,,\r\n \r\n\r\n")
    assert is_right(table) and table.remark == ""


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ""])
def test_compressed_files_are_read_by_content(suffix: str, tmp_path: Path) -> None:
    data = text(";").encode("cp1252")
    zstandard: bytes = pa.compress(data, "zstd", asbytes=True)
    packed = {".bz2": bz2.compress(data), ".xz": lzma.compress(data), ".zst": zstandard}.get(
        suffix, gzip.compress(data)
    )
    assert is_right(scan(tmp_path, packed, f"list.csv{suffix}")) and is_text_table(tmp_path / f"list.CSV{suffix}")


# --- quotes


def test_values_in_quotes_hold_line_ends_and_delimiters(tmp_path: Path) -> None:
    table = scan(tmp_path, 'image,label\n"a, 1.jpg","grey\ngull"\nb.jpg,5" disc\n')
    assert table.frame.rows() == [("a, 1.jpg", "grey\ngull"), ("b.jpg", '5" disc')]


@pytest.mark.parametrize("header", ["image, label, iso", ' "image","label", "iso"', "\ufeff'image','label','iso'"])
def test_names_are_read_without_blanks_and_quotes(header: str, tmp_path: Path) -> None:
    quotes = "'" if "'" in header else ""
    row = ",".join(f"{quotes}{value}{quotes}" for value in ("a.jpg", "cat", "1"))
    table = scan(tmp_path, f"{header}\n{row}\n")
    assert table.frame.columns == ["image", "label", "iso"] and table.frame.row(0) == ("a.jpg", "cat", "1")


def test_blanks_before_quotes_do_not_break_them(tmp_path: Path) -> None:
    assert scan(tmp_path, 'image, label\na.jpg, "cat, small"\n').frame.row(0) == ("a.jpg", "cat, small")


@pytest.mark.parametrize("line", ['"b.jpg,cat', '"b"x.jpg,cat', '"b \\"x\\".jpg",cat'])
def test_a_quote_that_is_not_closed_is_refused_with_its_line_instead_of_swallowing_rows(
    line: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, f"image,label\na.jpg,cat\n{line}\nc.jpg,dog\n").startswith("Line 3 of the table")


# --- headers


@pytest.mark.parametrize(
    "content",
    [
        "img_1.jpg,cat\nimg_2.jpg,dog\n",
        "img_1.png\nimg_2.png\n",
        "5,0,0,17\n4,0,255,3\n",
        "17,cat\n18,dog\n19,cat\n20,x\n",
        "n01/x.JPEG 0\nn02/y.JPEG 1\n",
        "https://a.org/1,cat\nhttps://a.org/2,dog\n",
    ],
)
def test_a_first_line_of_data_is_refused_and_the_sentence_shows_a_header(content: str, tmp_path: Path) -> None:
    why = refusal(tmp_path, content)
    assert "has no names of columns" in why and "image" in why and content.split("\n")[0][:5] in why


@pytest.mark.parametrize("header", ["name,0,1,2", "0,1,2,3", "1,2,3,4", "image,cat,x,y", "id,label,2023,2024"])
def test_names_that_look_a_little_like_data_are_names(header: str, tmp_path: Path) -> None:
    assert scan(tmp_path, f"{header}\na.jpg,dog,1,2\nb.jpg,dog,3,4\n").frame.columns == header.split(",")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "two columns named 'label'" in refusal(tmp_path, "image,label, label\na.jpg,cat,dog\n")


@pytest.mark.parametrize("content", ["", "\n \n", "image,label\n", "image,label", "\ufeffimage,label\r\n\r\n"])
def test_a_file_without_rows_is_refused(content: str, tmp_path: Path) -> None:
    assert "one line for each image" in refusal(tmp_path, content)


def test_comments_above_the_names_are_skipped(tmp_path: Path) -> None:
    assert is_right(scan(tmp_path, "# exported by hand\n# 3 May\n" + text()))


def test_a_header_that_begins_with_a_hash_is_a_header(tmp_path: Path) -> None:
    table = scan(tmp_path, "#filename,label\na.jpg,cat\nb.jpg,dog\n")
    assert table.frame.columns == ["filename", "label"] and table.frame.height == 2


def test_a_hash_that_may_be_a_header_or_a_comment_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "# by Anna, in May\nimage,label\na.jpg,cat\n").startswith("Line 1 of the table")


def test_a_title_above_the_names_is_refused(tmp_path: Path) -> None:
    assert "'Report of May', but the next ones have 2 fields" in refusal(
        tmp_path, "Report of May\n\nimage,label\na.jpg,cat\nb.jpg,dog\n"
    )


@pytest.mark.parametrize("name", ["", '""', "Unnamed: 0"])
@pytest.mark.parametrize("first", [0, 1])
def test_row_numbers_without_a_name_are_left_out_and_said(name: str, first: int, tmp_path: Path) -> None:
    rows = "".join(f"{i + first},{i}.jpg,cat\n" for i in range(12))
    table = scan(tmp_path, f"{name},image,label\n{rows}")
    assert table.frame.columns == ["image", "label"] and table.remark == "row numbers in column 1 (left out)"


def test_other_values_without_a_name_are_kept(tmp_path: Path) -> None:
    table = scan(tmp_path, ",label\na.jpg,cat\nb.jpg,dog\n")
    assert table.frame.columns == ["Unnamed: 0", "label"] and table.remark == ""
    assert scan(tmp_path, ",label\n17,cat\n4,dog\n").frame.columns == ["Unnamed: 0", "label"]


def test_row_numbers_as_r_writes_them_do_not_shift_the_names(tmp_path: Path) -> None:
    table = scan(tmp_path, '"image","label"\n"1","a.jpg","cat"\n"2","b.jpg","dog"\n')
    assert table.frame.rows() == [("a.jpg", "cat"), ("b.jpg", "dog")] and "row numbers" in table.remark


def test_delimiters_at_the_end_of_every_line_make_no_column(tmp_path: Path) -> None:
    assert scan(tmp_path, "image,label\na.jpg,cat,\nb.jpg,dog,\n").frame.columns == ["image", "label"]
    assert scan(tmp_path, "image,label,\na.jpg,cat,\nb.jpg,dog,\n").frame.columns == ["image", "label"]


def test_a_header_that_is_repeated_is_no_row(tmp_path: Path) -> None:
    table = scan(tmp_path, text() + text())
    assert table.frame.height == 2 * len(ROWS) and table.remark == "1 repetition of the header (left out)"


# --- rows


def test_a_row_with_too_many_fields_is_left_out_and_returned_by_its_line(tmp_path: Path) -> None:
    table = scan(tmp_path, 'image,label\n"a\n.jpg",cat\nb, 1.jpg,cat\nc.jpg,dog\nd.jpg,dog,\n')
    assert table.ragged == {4: "3 fields instead of 2: b,  1.jpg, cat"}
    assert table.frame.rows() == [("a\n.jpg", "cat"), ("c.jpg", "dog"), ("d.jpg", "dog")]


def test_a_table_most_of_whose_rows_have_too_many_fields_is_refused(tmp_path: Path) -> None:
    assert "most lines have 3 fields" in refusal(tmp_path, "image,label\n" + "a.jpg,cat,x\nb.jpg,dog,y\n" * 3)
    ragged = "".join(f"a.jpg,cat{',x' * (2 + i % 7)}\n" for i in range(40))
    assert "fields" in refusal(tmp_path, "image,label\na.jpg,cat\n" + ragged)


def test_a_row_with_more_fields_is_not_made_up_for_by_one_with_fewer(tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,cat\n" for i in range(200))
    for content in (f"image,label\na.jpg,x,y\nb.jpg\n{rows}", f"image,label\n{rows}b.jpg\na.jpg,x,y\n"):
        table = scan(tmp_path, content)
        assert len(table.ragged) == 1 and table.remark.startswith("1 line with") and len(table.frame) == 201


def test_a_row_with_fewer_fields_is_completed_and_counted(tmp_path: Path) -> None:
    table = scan(tmp_path, "image,label,iso\na.jpg,cat,1\nb.jpg,dog\nc.jpg,,\n")
    assert table.frame.rows() == [("a.jpg", "cat", "1"), ("b.jpg", "dog", None), ("c.jpg", None, None)]
    assert table.remark == "1 line with fewer fields than the header"


def test_ids_keep_their_zeros_and_digits_and_empty_values_are_null(tmp_path: Path) -> None:
    table = scan(tmp_path, 'id,label\n007,""\n12345678901234567,NA\n')
    assert table.frame.rows() == [("007", None), ("12345678901234567", "NA")]
    assert set(table.frame.dtypes) == {pl.String}


@pytest.mark.parametrize("last", ["", '"x, 1.jpg",0'])
def test_many_rows_keep_their_order_with_quotes_and_without(last: str, tmp_path: Path) -> None:
    table = scan(tmp_path, "image,n\n" + "".join(f"{i}.jpg,{i}\n" for i in range(120_000)) + last)
    assert table.frame["n"].head(120_000).cast(pl.Int64).equals(pl.Series("n", range(120_000)))
    assert len(table.frame) == 120_000 + bool(last)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["image,label,iso", "image,label,iso,", "\ufeffimage,label,iso"])
def test_files_with_a_quote_and_without_are_read_alike(header: str, end: str, tmp_path: Path) -> None:
    rows = ["a.jpg, cat ,", ",,1", " , ,", "b.jpg,,2", ",,", header.strip("\ufeff"), "c.jpg,#dog,3", "#d.jpg,NA,nan"]
    plain = end.join([header, *(row + "," * (header.count(",") - row.count(",")) for row in rows)])
    quoted = plain.replace("a.jpg", '"a.jpg"')
    regular, other = scan(tmp_path, plain), scan(tmp_path, quoted)
    assert regular.frame.rows() == other.frame.rows()
    assert regular.remark == other.remark and regular.frame.rows()[-1] == ("#d.jpg", "NA", "nan")
    assert regular.frame.height == 5


# --- what is no delimited text


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.xlsx", "CSV UTF-8"),
        ("a.XLS", "CSV UTF-8"),
        ("a.ods", "CSV UTF-8"),
        ("a.json", "read_json('a.json')"),
        ("a.jsonl", "read_ndjson('a.jsonl').write_parquet('a.parquet')"),
    ],
)
def test_other_tables_are_refused_with_how_to_convert_them(name: str, how: str, tmp_path: Path) -> None:
    assert how in refusal(tmp_path, "x", name) and is_text_table(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(100), "Excel workbook"),
        (b"PAR1" + bytes(100), "parquet"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b'{"image": "a.jpg", "label": "cat"}\n', "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not text"),
        (b"image,label\na.jpg,c\0at\n", "not text"),
        (gzip.compress(text().encode() * 50)[:-20], "cannot be read"),
    ],
)
def test_other_files_named_csv_are_refused_by_what_they_are(content: bytes, what: str, tmp_path: Path) -> None:
    assert what in refusal(tmp_path, content)


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        scan_text(tmp_path / "none.csv")


def test_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path, tmp_path / "pipe.csv"):
        with pytest.raises(UserError, match="is not a file"):
            scan_text(path)


def test_folders_and_images_are_no_text_tables() -> None:
    assert not any(map(is_text_table, map(Path, ("a.jpg", "folder", "a.parquet", "a.tar.gz"))))
