//! Reads as much of an ELF file (elf(5)) as tells whether this machine could load it.
