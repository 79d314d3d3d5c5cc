"""From loop nests to code: LLVM, Numba source, and the interpreter."""
