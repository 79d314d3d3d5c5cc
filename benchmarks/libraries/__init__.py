"""Other libraries that compute what a row of the table computes, each in its best form; none is required."""
