# Provisional; the real one follows.
CC = gcc
CFLAGS = -std=c11 -g -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -fvisibility=hidden -D_GNU_SOURCE
