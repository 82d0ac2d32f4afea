"""`croissant.json`: metadata of the data set in Croissant 1.1 (JSON-LD that `mlcroissant` validates and loads)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tckr.releasing.checksums import file_digests
from tckr.releasing.facts import Facts
from tckr.releasing.formats.layout import file_names
from tckr.releasing.names import FormatName
from tckr.releasing.rows import Rows

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""JSON-LD context common to all Croissant 1.1 files."""

HUB = "https://huggingface.co/datasets/"
KINDS = {".parquet": "application/x-parquet", ".tar": "application/x-tar", ".csv": "text/csv"}
Json = dict[str, Any]


def croissant(facts: Facts, rows: Rows, folder: Path) -> Json:
    """Return the metadata of the images in `folder`."""
    name = facts.request.hub_name
    files, records = DESCRIBED[facts.request.form](rows)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name.partition("/")[2] or "synthetic-image-set",
        "description": f"{len(rows)} synthetic images of {len(rows.class_names)} classes, made with TCKR.",
        "license": facts.request.licence,
        "citeAs": f"Synthetic image set, made with TCKR, {facts.day}.",
        "version": "1.0.0",
        "datePublished": facts.day,
        "creator": {"@type": "Organization", "name": name.partition("/")[0] or "the releasing organisation"},
        "isLiveDataset": False,
        "url": f"{HUB}{name}" if name else "https://schema.org/Dataset",
        "distribution": [*_objects(folder), *files],
        "recordSet": records,
    }


def _objects(folder: Path) -> list[Json]:
    """Return the files of rows with their digests; digests of single images are in SHA256SUMS."""
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "encodingFormat": KINDS[Path(name).suffix],
            "sha256": digest,
        }
        for name, digest in file_digests(folder).items()
        if Path(name).suffix in KINDS
    ]


def _parquet(rows: Rows) -> tuple[list[Json], list[Json]]:
    fields = [_column("image", "sc:ImageObject", transform={"jsonPath": "bytes"}), _column("label", "sc:Integer")]
    if rows.soft_labels is not None:
        fields.append(_column("soft_label", "sc:Float", lists=True))
    if rows.soft_label_classes is not None:
        fields.append(_column("soft_label_class", "sc:Integer", lists=True))
    return [_file_set("files", "data/*.parquet", KINDS[".parquet"])], [_record_set("images", fields), _classes(rows)]


def _column(name: str, kind: str, *, transform: Json | None = None, lists: bool = False) -> Json:
    source = {"fileSet": {"@id": "files"}, "extract": {"column": name}}
    return {
        **_field("images", name, kind, source | ({"transform": transform} if transform else {})),
        **({"isArray": True, "arrayShape": "-1"} if lists else {}),
    }


def _imagefolder(rows: Rows) -> tuple[list[Json], list[Json]]:
    given = {"soft_label": rows.soft_labels, "soft_label_class": rows.soft_label_classes}
    table = {"fileObject": {"@id": "train/metadata.csv"}}
    columns = {"file_name": "sc:Text", "label": "sc:Integer", "class": "sc:Text"} | {
        name: "sc:Text" for name, values in given.items() if values is not None
    }
    fields = [_field("labels", name, kind, {**table, "extract": {"column": name}}) for name, kind in columns.items()]
    return [_file_set("picture-files", "train/*/*.png", "image/png")], [
        _record_set("labels", fields),
        _pictures(),
        _classes(rows),
    ]


def _webdataset(rows: Rows) -> tuple[list[Json], list[Json]]:
    inside = [{"@id": name} for name in file_names(rows, ".tar")]
    pictures = {**_file_set("picture-files", "*.png", "image/png"), "containedIn": inside}
    return [pictures], [_pictures(), _classes(rows)]


DESCRIBED: Mapping[FormatName, Callable[[Rows], tuple[list[Json], list[Json]]]] = MappingProxyType(
    {"parquet": _parquet, "imagefolder": _imagefolder, "webdataset": _webdataset}
)
"""Format -> function that returns its file sets and record sets."""


def _file_set(name: str, includes: str, kind: str) -> Json:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": kind, "includes": includes}


def _pictures() -> Json:
    source = {"fileSet": {"@id": "picture-files"}}
    return _record_set(
        "pictures",
        [
            _field("pictures", "file", "sc:Text", {**source, "extract": {"fileProperty": "filename"}}),
            _field("pictures", "image", "sc:ImageObject", {**source, "extract": {"fileProperty": "content"}}),
        ],
    )


def _classes(rows: Rows) -> Json:
    """Return a record set with the class names."""
    fields = [
        {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind}
        for name, kind in (("classes/label", "sc:Integer"), ("classes/name", "sc:Text"))
    ]
    data = [{"classes/label": label, "classes/name": name} for label, name in enumerate(rows.class_names)]
    return {**_record_set("classes", fields), "dataType": "sc:Enumeration", "key": {"@id": "classes/label"}, "data": data}


def _record_set(name: str, fields: list[Json]) -> Json:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _field(records: str, name: str, kind: str, source: Json) -> Json:
    return {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "dataType": kind, "source": source}
