"""Networks written as lists of layers, and what runs them."""
