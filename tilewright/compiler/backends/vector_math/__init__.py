"""Mathematical functions of float32 lanes, as polynomials in LLVM IR."""
