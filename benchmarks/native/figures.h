/* What the figures of a load are printed with. */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdio.h>
#include <stdlib.h>

#include "buffer.h"

static int ascending(const void *one, const void *other) {
  float left = *(const float *)one, right = *(const float *)other;
  return (left > right) - (left < right);
}

/* Sort a buffer of floats in its place. */
static const float *sorted_latencies(buffer *from) {
  if (from->size) qsort(from->at, from->size / sizeof(float), sizeof(float), ascending);
  return (const float *)from->at;
}

/* Print bytes as a JSON string of ASCII; other bytes as if each were a character. */
static void print_text(const buffer *from) {
  printf("\"");
  for (size_t at = 0; at < from->size; at++) {
    unsigned char byte = (unsigned char)from->at[at];
    if (byte == '"' || byte == '\\') {
      printf("\\%c", byte);
    } else {
      printf(byte < ' ' || byte > '~' ? "\\u%04x" : "%c", byte);
    }
  }
  printf("\"");
}

#endif
