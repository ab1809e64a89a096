/* The options of the load generator.
 *
 *   load http URL [OPTIONS]       streamable HTTP, one connection and session for each caller
 *   load sse URL [OPTIONS]        HTTP+SSE of 2024-11-05: an event stream and a connection for each
 *   load stdio [OPTIONS] -- COMMAND...   one process, one session, a call in flight for each caller
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_PLACE "%TEXT%"

typedef enum { HTTP, SSE, STDIO } mode;

typedef struct {
  mode mode;
  const char *url, *tool, *arguments, *text_place, *revision, *accept, *headers[16];
  char host[128], port[8], path[1024];
  char **command;
  size_t callers, calls, text_bytes, result_bytes, number_of_headers;
  double seconds, warm_up_s, patience_s;
  bool same_ids, keeps_sessions, wrapped;
} options;

static const char *const USAGE =
    "usage: load http|sse URL [OPTIONS]\n"
    "       load stdio [OPTIONS] -- COMMAND...\n"
    "\n"
    "  --callers N           callers, each with one call in flight (1)\n"
    "  --seconds S           measured time (1)\n"
    "  --calls N             instead: N calls, the same number by each caller; no warm-up\n"
    "  --warm-up S           calls before that, which do not count (0.3)\n"
    "  --patience S          limit for the last answers, and with --calls for any answer (10)\n"
    "  --tool NAME           tool to call (echo)\n"
    "  --arguments JSON      its arguments, with %TEXT% for the text ({\"text\":\"%TEXT%\"})\n"
    "  --text-bytes N        fill up each text to N bytes (64)\n"
    "  --result-bytes N      expect each text filled up with dots to N bytes (0)\n"
    "  --wrapped             each text may stand anywhere in that of its answer\n"
    "  --same-ids            the same ids at all callers (http and sse)\n"
    "  --keep-sessions       leave the sessions open at the end\n"
    "  --header 'NAME: VALUE'   header of every request; may be repeated\n"
    "  --accept VALUE        Accept of POSTs (application/json, text/event-stream)\n"
    "  --revision DATE       protocol revision (2025-06-18)\n";

/* Read http://HOST[:PORT]/PATH. */
static bool read_url(options *set, const char *url) {
  set->url = url;
  strcpy(set->port, "80");
  strcpy(set->path, "/");
  if (sscanf(url, "http://%127[^:/]:%7[0-9]%1023s", set->host, set->port, set->path) >= 2) {
    return true;
  }
  return sscanf(url, "http://%127[^:/]%1023s", set->host, set->path) >= 1;
}

static bool read_number(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && *value >= 0;
}

static bool number_option(options *set, const char *name, const char *text) {
  struct {
    const char *name;
    size_t *whole;
    double *real;
  } known[] = {
      {"--callers", &set->callers, NULL},       {"--calls", &set->calls, NULL},
      {"--text-bytes", &set->text_bytes, NULL}, {"--result-bytes", &set->result_bytes, NULL},
      {"--seconds", NULL, &set->seconds},       {"--warm-up", NULL, &set->warm_up_s},
      {"--patience", NULL, &set->patience_s},
  };
  for (size_t at = 0; at < sizeof known / sizeof *known; at++) {
    double value;
    if (strcmp(name, known[at].name) != 0) continue;
    if (!read_number(text, &value)) return false;
    if (known[at].whole) *known[at].whole = (size_t)value;
    if (known[at].real) *known[at].real = value;
    return true;
  }
  return false;
}

static bool text_option(options *set, const char *name, const char *text) {
  if (strcmp(name, "--tool") == 0) return (set->tool = text) != NULL;
  if (strcmp(name, "--arguments") == 0) return (set->arguments = text) != NULL;
  if (strcmp(name, "--revision") == 0) return (set->revision = text) != NULL;
  if (strcmp(name, "--accept") == 0) return (set->accept = text) != NULL;
  if (strcmp(name, "--header") != 0) return false;
  if (set->number_of_headers == sizeof set->headers / sizeof *set->headers) return false;
  return (set->headers[set->number_of_headers++] = text) != NULL;
}

static bool read_words(options *set, int count, char **words) {
  for (int at = 0; at < count; at++) {
    if (strcmp(words[at], "--") == 0) {
      set->command = words + at + 1;
      return at + 1 < count;
    }
    if (strcmp(words[at], "--same-ids") == 0) {
      set->same_ids = true;
    } else if (strcmp(words[at], "--keep-sessions") == 0) {
      set->keeps_sessions = true;
    } else if (strcmp(words[at], "--wrapped") == 0) {
      set->wrapped = true;
    } else if (at + 1 == count || !(number_option(set, words[at], words[at + 1]) ||
                                    text_option(set, words[at], words[at + 1]))) {
      fprintf(stderr, "load: not understood: %s\n", words[at]);
      return false;
    } else {
      at++;
    }
  }
  return true;
}

static bool read_mode(options *set, int *count, char ***words) {
  const char *name = *count > 1 ? (*words)[1] : "";
  bool stdio = strcmp(name, "stdio") == 0;
  set->mode = stdio ? STDIO : strcmp(name, "sse") == 0 ? SSE : HTTP;
  if (set->mode == HTTP && strcmp(name, "http") != 0) return false;
  if (!stdio && (*count < 3 || !read_url(set, (*words)[2]))) return false;
  *words += stdio ? 2 : 3;
  *count -= stdio ? 2 : 3;
  return true;
}

/* Fill `set`; on failure print the way out, and return false. */
static bool read_options(options *set, int count, char **words) {
  *set = (options){.tool = "echo",
                   .arguments = "{\"text\":\"%TEXT%\"}",
                   .revision = "2025-06-18",
                   .accept = "application/json, text/event-stream",
                   .callers = 1,
                   .text_bytes = 64,
                   .seconds = 1,
                   .warm_up_s = 0.3,
                   .patience_s = 10};
  bool good = read_mode(set, &count, &words) && read_words(set, count, words);
  set->text_place = strstr(set->arguments, TEXT_PLACE);
  good = good && set->callers && set->text_place && (set->mode == STDIO) == (set->command != NULL);
  if (set->mode == STDIO && set->same_ids) good = false; /* one session cannot have equal ids */
  if (!good) fputs(USAGE, stderr);
  return good;
}

#endif
