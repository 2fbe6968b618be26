"""Workers that do the same unit of work in other ways, written as fairly as we could."""
