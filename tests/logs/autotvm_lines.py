"""Lines of AutoTVM's log, written by hand after its documented layout; and what is none."""

CONV = (
    '{"input": ["llvm -keys=cpu -mcpu=skylake-avx512 -num-cores=8", "conv2d_NCHWc.x86", '
    '[["TENSOR", [1, 64, 56, 56], "float32"], ["TENSOR", [64, 64, 3, 3], "float32"], [1, 1], [1, 1, 1, 1], '
    '[1, 1], "NCHW", "NCHW", "float32"], {}], "config": {"index": 165, "code_hash": null, "entity": '
    '[["tile_ic", "sp", [-1, 16]], ["tile_oc", "sp", [-1, 32]], ["tile_ow", "sp", [-1, 14]], '
    '["unroll_kw", "ot", true]]}, "result": [[0.00036018, 0.0003615, 0.00036], 0, 1.5123, 1659468884.7012], '
    '"version": 0.2, "tvm_version": "0.18.0"}'
)
MATMUL = (
    '{"input": ["llvm -keys=cpu", "testing/matmul", [128, 128, 128, "float32"], {}], "config": {"index": 12, '
    '"code_hash": null, "entity": [["tile_y", "sp", [-1, 16]], ["order", "re", [0, 2, 1]], ["ann", "an", '
    '["none", "unroll", "vec"]], ["cache", "an", [1, 0]], ["auto", "ot", 1500]]}, '
    '"result": [[0.0012, 0.0013], 0, 1.42, 1659468884.7], "version": 0.2, "tvm_version": "0.18.0"}'
)
FAILED = (
    '{"input": ["cuda -keys=cuda,gpu -max_num_threads=1024", "dense.cuda", [["TENSOR", [8, 8], "int8"], '
    'null], {"units": 8, "nested": {"a": [1, [2, "x"]]}}], "config": {"index": 3, "code_hash": "0f3a", '
    '"entity": [["tile_k", "sp", [8, 1]]]}, "result": [[1000000000.0], 4, 0.25, 1659468885.1], '
    '"version": 0.2, "tvm_version": "0.8.dev0"}'
)
UNICODE = (
    '{"input": ["llvm -mcpu=\\u03b1", "f\\u00e4lle\\ud83d\\ude00", ["\\"q\\"", "tab\\t"], {}], "config": '
    '{"index": 0, "code_hash": null, "entity": [["gr\\u00f6\\u00dfe", "ot", "\\u2028"]]}, '
    '"result": [[1e-05], 0, 2.5, 1.0], "version": 0.2, "tvm_version": "0.9"}'
)
INTEGERS = (
    '{"input": ["llvm", "t", [1, 1.0, -0.0, 1e+16, 1e-07], {}], "config": {"index": null, "code_hash": null, '
    '"entity": [["a", "ot", 2], ["b", "ot", 2.0], ["c", "ot", {"d": [null]}]]}, "result": [[1, 1.0, 2], '
    '0, 3, 1659468884], "version": 0.2, "tvm_version": "0.7"}'
)
EMPTY = (
    '{"input": ["llvm", "t", [], {}], "config": {"index": 0, "code_hash": null, "entity": []}, '
    '"result": [[0.5], 0, 0.0, 0.0], "version": 0.2, "tvm_version": ""}'
)
GOOD = (CONV, MATMUL, FAILED, UNICODE, INTEGERS, EMPTY)

OLD = (
    '{"i": ["llvm", "matmul", [8, 8], {}, ["matmul", 8, 8], {"i": 1, "t": "direct", "c": null, "e": []}], '
    '"r": [[0.1], 0, 1.0, 1500000000.0], "v": 0.1}'
)
# cos.system("echo ...") behind base64, in each of the places where AutoTVM would unpickle.
_EVIL = "Y29zCnN5c3RlbQooUyd0b3VjaCBldmlsJwp0Ui4="
PICKLED = (
    f"llvm\t{_EVIL}\t{_EVIL}\t{_EVIL}\t0.2\t0.18.0",
    f"\tllvm\t{_EVIL}\t{_EVIL}\t{_EVIL}\t0.2\t0.18.0",
    f"llvm -keys=cpu\t{_EVIL}\t{_EVIL}\t{_EVIL}\t0.1",
)


def result(text: str) -> str:
    """MATMUL with another result."""
    return MATMUL.replace("[[0.0012, 0.0013], 0, 1.42, 1659468884.7]", text)


def entity(text: str) -> str:
    """MATMUL with another entity in place of its first."""
    return MATMUL.replace('["tile_y", "sp", [-1, 16]]', text)


def nested(depth: int) -> str:
    """MATMUL with an argument of this depth."""
    return MATMUL.replace("[128, 128, 128,", "[" + "[" * depth + "]" * depth + ",")


# Each with a part of the reason.
REFUSED = {
    "": "truncated",
    "null": "object",
    "[]": "object",
    "{}": "missing",
    MATMUL[:-1]: "truncated",
    MATMUL[:200]: "truncated",
    MATMUL + "}": "trailing",
    MATMUL.replace('"version": 0.2', '"version": 0.3'): "version 0.3",
    MATMUL.replace('"version": 0.2, ', ""): "version",
    MATMUL.replace('"testing/matmul"', "7"): "input",
    MATMUL.replace('"testing/matmul"', '""'): "empty",
    MATMUL.replace('"llvm -keys=cpu"', "null"): "input",
    MATMUL.replace('"llvm -keys=cpu"', '{"__reduce__": "os.system"}'): "input",
    MATMUL.replace("[128, 128, 128,", '"m",'): "input",
    MATMUL.replace('"float32"], {}]', '"float32"], []]'): "input",
    MATMUL.replace('"index": 12', '"index": "12"'): "index",
    MATMUL.replace('"index": 12', '"index": 1' + "0" * 30): "",
    MATMUL.replace('"code_hash": null', '"code_hash": 5'): "code_hash",
    MATMUL.replace("128, 128, 128", "128, 128, 1" + "0" * 30): "64 bits",
    MATMUL.replace("128, 128, 128", "128, 128, 1" + "0" * 5000): "",
    result("[[NaN], 0, 1.42, 1.0]"): "NaN",
    result("[[Infinity], 0, 1.42, 1.0]"): "NaN and Infinity",
    result("[[0.1], 0, -Infinity, 1.0]"): "NaN and Infinity",
    result("[[1e999], 0, 1.42, 1.0]"): "",
    result('[["0.1"], 0, 1.42, 1.0]'): "result",
    result("[[true], 0, 1.42, 1.0]"): "result",
    result("[0.1, 0, 1.42, 1.0]"): "result",
    result("[[0.1], 0.0, 1.42, 1.0]"): "result",
    result("[[0.1], 9, 1.42, 1.0]"): "error number 9",
    result("[[0.1], -1, 1.42, 1.0]"): "error number -1",
    result("[[0.1], 0, 1.42]"): "result",
    result("[[0.1], 0, 1.42, 1.0, 5]"): "result",
    entity('["tile_y", "zz", [-1, 16]]'): "entity",
    entity('["tile_y", "sp", 16]'): "tile_y",
    entity('["tile_y", "sp", [-1, "16"]]'): "tile_y",
    entity('["tile_y", "sp", [-1, 1.5]]'): "tile_y",
    entity('["tile_y", "re", [true]]'): "tile_y",
    entity('["tile_y", "an", [null]]'): "tile_y",
    entity('["order", "sp", [1]]'): "twice",
    entity('["tile_y", "sp"]'): "entity",
    entity('{"__reduce__": ["os.system", ["touch evil"]]}'): "entity",
    nested(20): "deeply",
    nested(100_000): "deeply",
    '{"input":' * 50_000: "input",
    "x" * 2_000_000: "longer",
    '{"input": "' + "x" * 10_000_000 + '"}': "longer",
    "cos\nsystem\n(S'touch evil'\ntR.": "malformed",
    "\ud800": "",
    '{"input": ["\\ud800"]}': "",
    "\x80\x04\x95": "malformed",
}
