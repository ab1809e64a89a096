"""Roots of clients as paths (RFC 8089)."""

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.names.file_uris import MAX_PATH_CHARS, path_of


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///work/project", "/work/project"),
        ("file:/work/project", "/work/project"),
        ("file://localhost/work", "/work"),
        ("FILE://LocalHost/work", "/work"),
        ("file:///work/project/", "/work/project"),
        ("file:///work//a/./b", "/work/a/b"),
        ("file:////work", "/work"),
        ("file:///", "/"),
        ("file:///work/a%20b%23c", "/work/a b#c"),
        ("file:///%E5%AE%B6", "/家"),
        ("file:///家/...", "/家/..."),
        ("file:///a%2Fb", "/a/b"),
        ("file:///-rf", "/-rf"),
        ("file:///C:/work", "/C:/work"),
    ],
)
def test_a_file_uri_is_read_as_an_absolute_path(uri: str, path: str) -> None:
    assert path_of(uri) == path


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "is no file URI with an absolute path"),
        ("/work", "is no file URI with an absolute path"),
        ("http://localhost/work", "is no file URI with an absolute path"),
        ("file://", "is no file URI with an absolute path"),
        ("file:work", "is no file URI with an absolute path"),
        ("file:///work?x=1", "is no file URI with an absolute path"),
        ("file:///work#x", "is no file URI with an absolute path"),
        ("file:///work\n", "has a control character"),
        ("file://example.test/work", "names another machine"),
        ("file:///../etc", "has a part .."),
        ("file:///work/%2e%2E/etc", "has a part .."),
        ("file:///work%2F..%2Fetc", "has a part .."),
        ("file:///work%00", "has a control character"),
        ("file:///work%0Ax", "has a control character"),
        ("file:///work%7f", "has a control character"),
        ("file:///%ff", "is not UTF-8"),
        ("file:///100%", "has a % that begins no escape"),
        ("file:///%zz", "has a % that begins no escape"),
        ("file:///" + "a" * MAX_PATH_CHARS, "is longer than 4,096 characters"),
    ],
)
def test_any_other_uri_is_refused_with_the_reason(uri: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        path_of(uri)


@given(st.text(st.sampled_from("/.%2eEfF0a é\x00\n\\~-$`")))
def test_whatever_is_written_a_path_is_absolute_and_normal(text: str) -> None:
    try:
        path = path_of(f"file:///{text}")
    except ValueError:
        return
    assert path.startswith("/")
    assert not path.startswith("//")
    assert path == posixpath.normpath(path)
    assert not {".", ".."} & set(path.split("/"))
    assert path.isprintable()
