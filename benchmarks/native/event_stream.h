/* Reads server-sent events as they come (WHATWG HTML, "Server-sent events"). */
#ifndef EVENT_STREAM_H
#define EVENT_STREAM_H

#include <stdbool.h>

#include "buffer.h"
#include "json_scan.h"

typedef struct {
  char type[32];
  buffer data; /* lines joined by a line end */
  bool has_data;
} event_reader;

static void event_reset(event_reader *one) {
  one->type[0] = '\0';
  one->data.size = 0;
  one->has_data = false;
}

static bool field(slice line, const char *name, slice *value) {
  size_t length = strlen(name);
  if (line.size < length + 1 || line.at[length] != ':' || memcmp(line.at, name, length) != 0) {
    return false;
  }
  size_t skip = length + 1;
  if (skip < line.size && line.at[skip] == ' ') skip++;
  *value = slice_of(line.at + skip, line.size - skip);
  return true;
}

/* Read one line, without its end; return true if it ends an event that has data. */
static bool event_line(event_reader *one, slice line) {
  slice value;
  if (line.size == 0) return one->has_data;
  if (field(line, "data", &value)) {
    if (one->has_data) append(&one->data, "\n", 1);
    append(&one->data, value.at, value.size);
    one->has_data = true;
  } else if (field(line, "event", &value) && value.size < sizeof one->type) {
    memcpy(one->type, value.at, value.size);
    one->type[value.size] = '\0';
  }
  return false;
}

#endif
