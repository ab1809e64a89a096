/* An MCP server on stdio that costs next to nothing: the tool `echo` gives back its text.
 *
 *   echo [--tools N] [--result-bytes N]
 *
 *   --tools N          list N tools, of which the first is `echo`; only that one can be called
 *   --result-bytes N   fill up the text of each result with dots, to N bytes
 *
 * It speaks 2025-06-18 and 2025-11-25. Requests that are read together are answered in one write,
 * in their order. The text goes back as it is written, with its escapes.
 */
#include <errno.h>
#include <unistd.h>

#include "buffer.h"
#include "json_scan.h"

enum { READ_BYTES = 1 << 16 };

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

static bool write_all(buffer *out) {
  for (size_t done = 0; done < out->size;) {
    ssize_t count = write(STDOUT_FILENO, out->at + done, out->size - done);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) done += (size_t)count;
  }
  out->size = 0;
  return true;
}

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

int main(int count, char **words) {
  if (!read_options(count, words)) {
    fprintf(stderr, "usage: echo [--tools N] [--result-bytes N]\n");
    return 2;
  }
  buffer in = {0}, out = {0};
  size_t scanned = 0; /* bytes at the beginning of `in` that hold no line end */
  for (;;) {
    ssize_t got = read(STDIN_FILENO, reserve(&in, READ_BYTES), READ_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    in.size += (size_t)got;
    size_t begin = 0;
    char *line_end;
    while ((line_end = memchr(in.at + scanned, '\n', in.size - scanned)) != NULL) {
      answer(&out, slice_of(in.at + begin, (size_t)(line_end - in.at) - begin));
      begin = scanned = (size_t)(line_end - in.at) + 1;
    }
    drop(&in, begin);
    scanned = in.size;
    if (!write_all(&out)) return 0;
  }
}
