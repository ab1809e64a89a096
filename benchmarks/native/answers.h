/* The answers of an MCP server of 2025-06-18 and 2025-11-25 whose tool `echo` gives back its text.
 *
 * The text goes back as it is written, with its escapes.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdbool.h>
#include <stdlib.h>

#include "buffer.h"
#include "json_scan.h"

static size_t number_of_tools = 1, result_bytes = 0;

static void append_slice(buffer *out, slice one) { append(out, one.at, one.size); }

static void append_error(buffer *out, int code, const char *message) {
  append_format(out, "\"error\":{\"code\":%d,\"message\":\"%s\"}", code, message);
}

static void append_initialize(buffer *out, slice params) {
  slice asked;
  bool known = member(params, "protocolVersion", &asked) &&
               (is_text(asked, "\"2025-06-18\"") || is_text(asked, "\"2025-11-25\""));
  append_text(out, "\"result\":{\"protocolVersion\":");
  append_slice(out, known ? asked : slice_of("\"2025-11-25\"", 12));
  append_text(out, ",\"capabilities\":{\"tools\":{}},"
                   "\"serverInfo\":{\"name\":\"echo\",\"version\":\"1\"}}");
}

/* List the echo, and tools of about 500 bytes each, as those of real servers are. */
static void append_tools(buffer *out) {
  append_text(out, "\"result\":{\"tools\":[{\"name\":\"echo\",\"description\":\"Give back the text\","
                   "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":"
                   "\"string\"}},\"required\":[\"text\"]}}");
  for (size_t number = 0; number + 1 < number_of_tools; number++) {
    append_format(out, ",{\"name\":\"find_files_%zu\",", number);
    append_text(
        out,
        "\"description\":\"Find files below a folder whose names match a pattern, newest first, "
        "in pages\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
        "\"path\":{\"type\":\"string\",\"description\":\"A path relative to the root of the "
        "project\"},\"pattern\":{\"type\":\"string\",\"description\":\"A path relative to the root "
        "of the project\"},\"limit\":{\"type\":\"integer\",\"minimum\":1}},"
        "\"required\":[\"path\"]}}");
  }
  append_text(out, "]}");
}

static void append_call(buffer *out, slice params) {
  slice name, arguments, text;
  if (!member(params, "name", &name) || !is_text(name, "\"echo\"")) {
    append_error(out, -32602, "The only tool that can be called is echo");
    return;
  }
  if (!member(params, "arguments", &arguments) || !member(arguments, "text", &text) ||
      !inside_quotes(&text)) {
    append_error(out, -32602, "echo needs a string: text");
    return;
  }
  append_text(out, "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"");
  append_slice(out, text);
  if (text.size < result_bytes) append_fill(out, '.', result_bytes - text.size);
  append_text(out, "\"}]}");
}

/* Answer one line; nothing for notifications and answers. */
static void answer(buffer *out, slice line) {
  slice method, id, params = {"", 0};
  if (!member(line, "method", &method) || !member(line, "id", &id)) return;
  member(line, "params", &params);
  append_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
  append_slice(out, id);
  append_text(out, ",");
  if (is_text(method, "\"tools/call\"")) {
    append_call(out, params);
  } else if (is_text(method, "\"tools/list\"")) {
    append_tools(out);
  } else if (is_text(method, "\"initialize\"")) {
    append_initialize(out, params);
  } else if (is_text(method, "\"ping\"")) {
    append_text(out, "\"result\":{}");
  } else {
    append_error(out, -32601, "Method not found");
  }
  append_text(out, "}\n");
}

/* Read `--tools N` and `--result-bytes N`; false if there is anything else. */
static bool read_options(int count, char **words) {
  for (int at = 1; at < count; at += 2) {
    char *end = NULL;
    size_t *option = strcmp(words[at], "--tools") == 0          ? &number_of_tools
                     : strcmp(words[at], "--result-bytes") == 0 ? &result_bytes
                                                                : NULL;
    if (option == NULL || at + 1 == count || words[at + 1][0] == '-') return false;
    *option = strtoul(words[at + 1], &end, 10);
    if (*end != '\0' || end == words[at + 1]) return false;
  }
  return true;
}

#endif
