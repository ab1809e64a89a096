/* A growing buffer of bytes. Out of memory ends the program: it only measures. */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *at;
  size_t size, room;
} buffer;

/* Make room for `more` bytes at the end; return where they go. */
static char *reserve(buffer *one, size_t more) {
  if (one->size + more > one->room) {
    size_t room = one->room ? one->room : 4096;
    while (room < one->size + more) room *= 2;
    if ((one->at = realloc(one->at, room)) == NULL) abort();
    one->room = room;
  }
  return one->at + one->size;
}

static void append(buffer *one, const void *bytes, size_t size) {
  if (size == 0) return;
  memcpy(reserve(one, size), bytes, size);
  one->size += size;
}

static void append_text(buffer *one, const char *text) { append(one, text, strlen(text)); }

/* Append a short formatted text, of at most 511 bytes. */
__attribute__((format(printf, 2, 3))) static void append_format(buffer *one, const char *format,
                                                                ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  int size = vsnprintf(text, sizeof text, format, values);
  va_end(values);
  append(one, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

/* Append `size` bytes that are all the same. */
static void append_fill(buffer *one, char byte, size_t size) {
  memset(reserve(one, size), byte, size);
  one->size += size;
}

/* Take `size` bytes away from the beginning. */
static void drop(buffer *one, size_t size) {
  one->size -= size;
  if (one->size) memmove(one->at, one->at + size, one->size);
}

#endif
