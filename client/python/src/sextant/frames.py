"""Messages and tables of the service as pandas DataFrames. Columns keep the messages' names, units last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Iterator, Sequence

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sextant.channel import ANSWER_TIMEOUT_S, Channel
from sextant.v1.sextant_pb2 import GetTableRequest, GetTableResponse
from sextant.v1.table_pb2 import DataColumn

if TYPE_CHECKING:
    import pandas

_UNITS = ("ns", "cycles", "bytes", "pct", "s")
_SHARES = ("sextant.v1.NamedShare",)
_NUMBERS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def repeated(field: Any) -> bool:
    """Whether a field holds several values; asked in the way every version of protobuf knows."""
    known = getattr(field, "is_repeated", None)
    return bool(known) if known is not None else field.label == 3  # LABEL_REPEATED


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def nested(descriptor: Any) -> list[Any]:
    """Fields that are tables of their own: lists of messages, but for shares and maps."""
    return [f for f in descriptor.fields if f.message_type and repeated(f) and not _is_map(f)
            and f.message_type.full_name not in _SHARES]


def _at_quantile(name: str, quantile: float) -> str:
    """"start_p50_ns" of start_ns: the unit stays last."""
    label = f"p{quantile * 100:g}"
    stem, _, unit = name.rpartition("_")
    if unit in _UNITS:
        return f"{stem}_{label}_{unit}" if stem else f"{label}_{unit}"
    return f"{name}_{label}"


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type:
        return field.enum_type.values_by_number[value].name.lower() if value in field.enum_type.values_by_number else value
    if isinstance(value, bytes):
        return value.hex()
    return value


def row(message: Message, quantiles: Sequence[float] = (), skip: Sequence[str] = ()) -> dict[str, Any]:
    """One row: scalars; lists along the quantiles as a column each; shares as {name: share}; messages
    inside flattened, but for fields to `skip`."""
    cells: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.name in skip:
            continue
        value = getattr(message, field.name)
        if _is_map(field):
            cells[field.name] = dict(value)
        elif field.message_type and repeated(field):
            if field.message_type.full_name in _SHARES:
                cells[field.name] = {share.name: share.share for share in value}
        elif field.message_type:
            cells.update({f"{field.name}_{name}": cell for name, cell in row(value, quantiles).items()})
        elif repeated(field):
            if quantiles and field.cpp_type in _NUMBERS and (len(value) == len(quantiles) or not value):
                for i, quantile in enumerate(quantiles):
                    cells[_at_quantile(field.name, quantile)] = value[i] if value else float("nan")
            else:
                cells[field.name] = [_scalar(field, v) for v in value]
        else:
            cells[field.name] = _scalar(field, value)
    return cells


def _columns(descriptor: Any, quantiles: Sequence[float], skip: Sequence[str]) -> list[str]:
    """Columns of a table without rows."""
    from google.protobuf import message_factory

    return list(row(message_factory.GetMessageClass(descriptor)(), quantiles, skip))


def frame(messages: Iterable[Message], descriptor: Any, quantiles: Sequence[float] = (),
          skip: Sequence[str] = ()) -> "pandas.DataFrame":
    """A row for each message."""
    import pandas

    rows = [row(message, quantiles, skip) for message in messages]
    return pandas.DataFrame(rows, columns=None if rows else _columns(descriptor, quantiles, skip))


def _key(message: Message) -> dict[str, Any]:
    """What tells a parent apart in a table of its children."""
    names = [f.name for f in message.DESCRIPTOR.fields if not f.message_type and not repeated(f)]
    chosen = [n for n in ("role", "region", "quantile", "what") if n in names] or names[:1]
    return {name: getattr(message, name) for name in chosen}


def tables(message: Message, quantiles: Sequence[float] = ()) -> Iterator[tuple[str, "pandas.DataFrame"]]:
    """Every list of messages in a message as a table: ("regions", …), ("paths.steps", …)."""
    import pandas

    for field in nested(message.DESCRIPTOR):
        children = getattr(message, field.name)
        yield field.name, frame(children, field.message_type, quantiles)
        for inner in nested(field.message_type):
            rows = [{**{f"{field.name}_{k}": v for k, v in _key(child).items()}, **row(leaf, quantiles)}
                    for child in children for leaf in getattr(child, inner.name)]
            yield f"{field.name}.{inner.name}", pandas.DataFrame(rows)


def column_values(column: DataColumn, rows: int) -> list[Any]:
    """The values of a column of a table that a pass left."""
    if column.texts:
        words = [word.decode(errors="replace") for word in column.dictionary]
        return [words[i] for i in column.texts]
    return list(column.ints) or list(column.numbers) or [None] * rows


def table_frame(channel: Channel, pass_id: int, name: str) -> "pandas.DataFrame":
    """A table that a pass left (docs/tables.md), read page by page. Units of columns are in `.attrs["units"]`."""
    import pandas

    pages: list[pandas.DataFrame] = []
    first, total, units = 0, 1, {}
    while first < total:
        answer = channel.call(GetTableRequest(pass_id=pass_id, table=name, first_row=first), GetTableResponse,
                              ANSWER_TIMEOUT_S)
        total, got = answer.total_rows, answer.table.rows
        pages.append(pandas.DataFrame({c.name: column_values(c, got) for c in answer.table.columns}))
        units = {c.name: c.unit for c in answer.table.columns}
        first += got
        if not got:
            break
    whole = pages[0] if len(pages) == 1 else pandas.concat(pages, ignore_index=True)
    whole.attrs["units"] = units
    return whole


def cells_frame(columns: Sequence[Any], rows: Iterable[Any]) -> "pandas.DataFrame":
    """A table of cells that are text (reports, queries): numbers where the column's type, or all its cells, are."""
    import pandas

    data = [[None if cell.is_null else cell.text for cell in r.cells] for r in rows]
    table = pandas.DataFrame(data, columns=[c.name for c in columns])
    for i, column in enumerate(columns):
        numeric = column.type in ("int2", "int4", "int8", "float4", "float8", "numeric", "integer", "bigint",
                                  "double precision", "real", "smallint") if column.type else bool(column.unit)
        if numeric:
            table.isetitem(i, pandas.to_numeric(table.iloc[:, i], errors="coerce").array)
        elif column.type in ("bool", "boolean"):
            table.isetitem(i, table.iloc[:, i].map({"t": True, "f": False, "true": True, "false": False}).array)
    table.attrs["units"] = {c.name: c.unit for c in columns}
    return table
