"""DuckDB's appender, through the C interface that its Python package carries.

Rows go in as data chunks, one memory copy per column: the fastest form of the appender that there is."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_uint64, c_void_p

import _duckdb


class DuckdbError(Exception):
    pass


def library():
    # Loaded already, since the package is; this is another handle to it.
    lib = ctypes.CDLL(_duckdb.__file__)
    signatures = {
        "duckdb_open": (c_int, [c_char_p, POINTER(c_void_p)]),
        "duckdb_connect": (c_int, [c_void_p, POINTER(c_void_p)]),
        "duckdb_query": (c_int, [c_void_p, c_char_p, c_void_p]),
        "duckdb_disconnect": (None, [POINTER(c_void_p)]),
        "duckdb_close": (None, [POINTER(c_void_p)]),
        "duckdb_appender_create_ext": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, POINTER(c_void_p)]),
        "duckdb_appender_column_count": (c_uint64, [c_void_p]),
        "duckdb_appender_column_type": (c_void_p, [c_void_p, c_uint64]),
        "duckdb_appender_error": (c_char_p, [c_void_p]),
        "duckdb_appender_flush": (c_int, [c_void_p]),
        "duckdb_appender_destroy": (c_int, [POINTER(c_void_p)]),
        "duckdb_append_data_chunk": (c_int, [c_void_p, c_void_p]),
        "duckdb_create_data_chunk": (c_void_p, [POINTER(c_void_p), c_uint64]),
        "duckdb_destroy_data_chunk": (None, [POINTER(c_void_p)]),
        "duckdb_data_chunk_get_vector": (c_void_p, [c_void_p, c_uint64]),
        "duckdb_data_chunk_reset": (None, [c_void_p]),
        "duckdb_data_chunk_set_size": (None, [c_void_p, c_uint64]),
        "duckdb_destroy_logical_type": (None, [POINTER(c_void_p)]),
        "duckdb_vector_get_data": (c_void_p, [c_void_p]),
        "duckdb_vector_size": (c_uint64, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Database:
    """A database opened through the C interface."""

    def __init__(self, path):
        self.lib = library()
        self.database, self.connection = c_void_p(), c_void_p()
        self.check(self.lib.duckdb_open(str(path).encode(), byref(self.database)), "open")
        self.check(self.lib.duckdb_connect(self.database, byref(self.connection)), "connect")

    def check(self, state, what):
        if state != 0:
            raise DuckdbError(f"DuckDB refused: {what}")

    def execute(self, text):
        self.check(self.lib.duckdb_query(self.connection, text.encode(), None), text)

    def close(self):
        self.lib.duckdb_disconnect(byref(self.connection))
        self.lib.duckdb_close(byref(self.database))


class Appender:
    """Appends columns to a table."""

    def __init__(self, database, catalog, table):
        self.lib, self.appender = database.lib, c_void_p()
        created = self.lib.duckdb_appender_create_ext(
            database.connection, catalog.encode(), b"main", table.encode(), byref(self.appender)
        )
        self.check(created)
        self.width = self.lib.duckdb_appender_column_count(self.appender)
        self.chunk_rows = self.lib.duckdb_vector_size()
        types = (c_void_p * self.width)(
            *(self.lib.duckdb_appender_column_type(self.appender, column) for column in range(self.width))
        )
        self.chunk = c_void_p(self.lib.duckdb_create_data_chunk(types, self.width))
        for each in types:
            self.lib.duckdb_destroy_logical_type(byref(c_void_p(each)))

    def check(self, state):
        if state != 0:
            raise DuckdbError((self.lib.duckdb_appender_error(self.appender) or b"appender").decode())

    def append(self, columns, rows_at_once=None):
        """Appends contiguous numpy columns, whose types are those of the table in memory."""
        at_once = min(rows_at_once or self.chunk_rows, self.chunk_rows)
        places = [(column.ctypes.data, column.itemsize) for column in columns]
        lib, chunk = self.lib, self.chunk
        for first in range(0, len(columns[0]), at_once):
            rows = min(at_once, len(columns[0]) - first)
            lib.duckdb_data_chunk_reset(chunk)
            for column, (address, size) in enumerate(places):
                data = lib.duckdb_vector_get_data(lib.duckdb_data_chunk_get_vector(chunk, column))
                ctypes.memmove(data, address + first * size, rows * size)
            lib.duckdb_data_chunk_set_size(chunk, rows)
            self.check(lib.duckdb_append_data_chunk(self.appender, chunk))

    def flush(self):
        self.check(self.lib.duckdb_appender_flush(self.appender))

    def close(self):
        self.flush()
        self.lib.duckdb_destroy_data_chunk(byref(self.chunk))
        self.check(self.lib.duckdb_appender_destroy(byref(self.appender)))
