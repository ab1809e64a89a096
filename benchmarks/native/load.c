/* Makes tool calls for a while, checks the id and the text of every answer, and prints the figures.
 *
 * One thread, and nothing but libc: it costs little beside any server. `options.h` has the options.
 * Each caller has a session and one call in flight (over stdio all callers share one process), and
 * sends the next when the whole answer has come. The output is one line of JSON:
 *
 *   calls, seconds     answered rightly within the measured time; the warm-up does not count
 *   p50_us, p99_us     from a call's first byte sent to its answer's last byte read
 *   sent               calls sent in all, with those of the warm-up
 *   wrong              answers with an id or a text that the call does not have
 *   missing            calls without an answer, `--patience` seconds after the last call
 *   cpu_s              processor time of this process, in all
 *   command_cpu_s      that of the command within the measured time; null but over stdio
 *   fault              the first wrong answer or broken connection, in words; null for none
 *
 * The exit status is 1, with a line on stderr, if a session cannot be opened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "calls.h"
#include "event_stream.h"
#include "figures.h"
#include "http_response.h"
#include "json_scan.h"
#include "options.h"
#include "wires.h"

/* For sessions to open, and for the first answers: a proxy may still be starting. */
static const double START_LIMIT_S = 60;

static options set;
static caller *callers;
static pipes shared; /* of stdio */
static int poller;
static bool measures, keeps_calling;
static size_t number_ready, number_warm, number_ended, calls, wrong, missing;
static double answered_at_s; /* the last answer to any caller */
static buffer latencies_us, fault;

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void note_fault(const char *what, slice where) {
  if (fault.size) return;
  append_format(&fault, "%s: ", what);
  append(&fault, where.at, where.size < 400 ? where.size : 400);
}

__attribute__((noreturn)) static void give_up(const char *what, slice where) {
  fprintf(stderr, "load: %s: %.*s\n", what, (int)(where.size < 400 ? where.size : 400), where.at);
  exit(1);
}

/* --- What is sent ---------------------------------------------------------------------------- */

static void transmit(caller *one, slice body) {
  one->responded = set.mode == STDIO;
  one->answered = false;
  one->sent_at_s = now_s();
  bool sent = set.mode == STDIO ? pipes_send(&shared, body) : wire_post(&one->post, &set, body);
  if (!sent) give_up("the connection broke while this was sent", body);
}

static void greet(caller *one) {
  one->id = set.same_ids ? 1 : one->number + 1;
  transmit(one, greeting_message(one, &set));
}

static void confirm(caller *one) {
  const char *words = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
  one->state = CONFIRMING;
  one->id = 0;
  transmit(one, slice_of(words, strlen(words)));
  one->answered = true;
}

static void call(caller *one) {
  one->state = CALLING;
  one->calls++;
  one->id = set.same_ids ? one->calls + 1 : one->calls * set.callers + one->number + 2;
  transmit(one, call_message(one, &set));
}

/* --- What comes back ------------------------------------------------------------------------- */

static void ended(caller *one) {
  one->state = ENDED;
  number_ended++;
}

/* The call in flight has no answer any more. */
static void lost(caller *one, const char *what, slice where) {
  missing++;
  number_warm += one->calls == 1;
  note_fault(what, where);
  one->responded = one->answered = true;
}

static void advance(caller *one) {
  if (!one->responded || !one->answered) return;
  if (one->state == GREETING) {
    confirm(one);
    if (set.mode == STDIO) advance(one);
  } else if (one->state == CONFIRMING) {
    one->state = READY;
    number_ready++;
  } else if (one->state == CALLING) {
    bool enough = set.calls && one->calls * set.callers >= set.calls;
    keeps_calling && !enough ? call(one) : ended(one);
  } else if (one->state == LEAVING) {
    ended(one);
  }
}

/* Over stdio an answer can be for any caller; with `--same-ids` there is one caller. */
static caller *receiver(slice id) {
  for (size_t number = 0; number < set.callers; number++) {
    if (!callers[number].answered && has_id(id, callers[number].id)) return &callers[number];
  }
  return &callers[0];
}

static void take_answer(caller *one, slice answer, slice id) {
  if (one->answered || !has_id(id, one->id)) {
    wrong++;
    note_fault("an answer to no call", answer);
    return;
  }
  one->answered = true;
  answered_at_s = now_s();
  slice result;
  if (one->state == GREETING) {
    if (!member(answer, "result", &result)) give_up("initialize was refused", answer);
    return;
  }
  number_warm += one->calls == 1;
  if (!has_text(one, &set, answer)) {
    wrong++;
    note_fault("another text", answer);
  } else if (measures) {
    float latency_us = (float)((answered_at_s - one->sent_at_s) * 1e6);
    append(&latencies_us, &latency_us, sizeof latency_us);
    calls++;
  }
}

/* Requests and notifications of the server are skipped: it has been promised nothing. */
static void take_message(caller *one, slice body) {
  slice id, method;
  if (!member(body, "id", &id) || member(body, "method", &method)) return;
  take_answer(one ? one : receiver(id), body, id);
}

static void take_event(caller *one, wire *from, event_reader *event) {
  slice data = slice_of(event->data.at, event->data.size);
  if (strcmp(event->type, "endpoint") == 0 && from == &one->stream) {
    if (!wire_use_endpoint(&one->post, &set, data)) give_up("a strange endpoint", data);
    if (one->state == GREETING) greet(one);
  } else {
    take_message(one, data);
  }
}

static void take_events(caller *one, wire *from) {
  buffer *body = &from->response.body;
  size_t used = 0, size;
  const char *line;
  while (body->size > used && take_line(body, &used, &line, &size)) {
    bool whole = event_line(&from->event, slice_of(line, size));
    if (whole) take_event(one, from, &from->event);
    if (whole || size == 0) event_reset(&from->event);
  }
  drop(body, used);
}

/* A whole response to a POST: an answer in it, or 202 and an answer on the stream. */
static void take_response(caller *one) {
  response *got = &one->post.response;
  slice body = slice_of(got->body.at, got->body.size);
  one->responded = true;
  if (one->state == LEAVING) return;
  if (got->status / 100 != 2) {
    if (one->state != CALLING) give_up("the session cannot be opened", body);
    lost(one, "a call was refused", body);
  } else if (set.mode == HTTP && !got->events) {
    take_message(one, body);
  }
  if (set.mode == HTTP && !one->answered) {
    if (one->state != CALLING) give_up("no answer to initialize", body);
    lost(one, "a response without the answer", body);
  }
}

static void take_from_post(caller *one) {
  wire *from = &one->post;
  while (from->in.size || from->response.part == DONE) {
    bool whole = response_feed(&from->response, &from->in);
    if (from->response.events) take_events(one, from);
    if (!whole) return;
    take_response(one);
    if (from->response.closes) wire_close(from);
    response_begin(&from->response);
    event_reset(&from->event);
    advance(one);
  }
}

static void take_from_stream(caller *one) {
  bool whole = response_feed(&one->stream.response, &one->stream.in);
  if (one->stream.response.part != HEAD && one->stream.response.status != 200) {
    give_up("the event stream was refused",
            slice_of(one->stream.response.body.at, one->stream.response.body.size));
  }
  take_events(one, &one->stream);
  if (whole) give_up("the event stream ended", slice_of("", 0));
  advance(one);
}

/* The server closed a connection. That ends a response without a length; else it loses a call. */
static void take_end(caller *one, wire *from) {
  bool is_stream = from == &one->stream, ends_response = from->response.part == UNTIL_CLOSE;
  wire_close(from);
  if (is_stream) give_up("the event stream ended", slice_of("", 0));
  if (ends_response) {
    from->response.part = DONE;
    take_from_post(one);
  } else if (one->state == GREETING || one->state == CONFIRMING) {
    give_up("the connection was closed before the session was open", slice_of("", 0));
  } else if (!one->responded) {
    if (one->state == CALLING) lost(one, "the connection was closed", slice_of("", 0));
    one->responded = true;
    response_begin(&from->response);
    advance(one);
  }
}

static void take_lines(void) {
  size_t used = 0, size;
  const char *line;
  while (shared.in.size > used && take_line(&shared.in, &used, &line, &size)) {
    slice id, body = slice_of(line, size);
    if (!member(body, "id", &id)) continue;
    caller *one = receiver(id);
    take_message(one, body);
    advance(one);
  }
  drop(&shared.in, used);
}

/* --- The run --------------------------------------------------------------------------------- */

static void wait_for_bytes(double until_s) {
  struct epoll_event ready[64];
  double left_s = until_s - now_s();
  int count = epoll_wait(poller, ready, 64, left_s < 0 ? 0 : (int)ceil(left_s * 1000));
  for (int at = 0; at < count; at++) {
    if (set.mode == STDIO) {
      if (!read_available(shared.from, &shared.in)) give_up("the command ended", slice_of("", 0));
      take_lines();
      continue;
    }
    wire *from = ready[at].data.ptr;
    caller *one = from->owner;
    if (from->socket < 0) continue; /* closed by what came before it in this round */
    bool open = read_available(from->socket, &from->in);
    from == &one->stream ? take_from_stream(one) : take_from_post(one);
    if (!open && from->socket >= 0) take_end(one, from);
  }
}

static void run_until(double until_s) {
  while (now_s() < until_s && number_ended < set.callers) wait_for_bytes(until_s);
}

/* Run until all callers have ended, or none of them has had an answer for too long. */
static void run_while_answered(void) {
  answered_at_s = now_s();
  while (number_ended < set.callers && now_s() < answered_at_s + set.patience_s) {
    wait_for_bytes(answered_at_s + set.patience_s);
  }
}

/* Wait for an answer to every caller, since a server may still be starting; then warm up. */
static void run_until_warm(void) {
  double until_s = now_s() + START_LIMIT_S;
  while (number_warm < set.callers && now_s() < until_s) wait_for_bytes(until_s);
  run_until(now_s() + set.warm_up_s);
}

static void open_sessions(void) {
  double until_s = now_s() + START_LIMIT_S;
  callers = calloc(set.callers, sizeof *callers);
  if (callers == NULL) abort();
  if (set.mode == STDIO) pipes_open(&shared, set.command, poller);
  for (size_t number = 0; number < set.callers; number++) {
    caller *one = &callers[number];
    one->number = number;
    one->answered = true;
    wire_init(&one->post, one, poller);
    wire_init(&one->stream, one, poller);
    if (set.mode == STDIO && number > 0) {
      one->state = READY; /* one session for all of them */
      one->responded = true;
      number_ready++;
    } else if (set.mode == SSE) {
      if (!wire_get(&one->stream, &set)) give_up("cannot connect to", slice_of(set.url, strlen(set.url)));
    } else {
      greet(one);
    }
  }
  while (number_ready < set.callers) {
    if (now_s() > until_s) give_up("a session is not open in time", slice_of("", 0));
    wait_for_bytes(until_s);
  }
}

/* Close what a server keeps for a session that it gave an id. */
static void close_sessions(void) {
  number_ended = 0;
  for (size_t number = 0; number < set.callers; number++) {
    caller *one = &callers[number];
    one->state = LEAVING;
    one->responded = false;
    one->answered = true;
    if (!wire_delete(&one->post, &set)) ended(one);
  }
  run_until(now_s() + 2);
}

/* The processor time of the command itself, without its children. */
static double command_cpu_s(void) {
  clockid_t clock;
  struct timespec used;
  if (set.mode != STDIO || clock_getcpuclockid(shared.command, &clock) != 0) return NAN;
  if (clock_gettime(clock, &used) != 0) return NAN;
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void report(double seconds, double command_s) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  const float *sorted = sorted_latencies(&latencies_us);
  printf("{\"calls\":%zu,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,", calls, seconds,
         calls ? sorted[calls / 2] : 0.0, calls ? sorted[calls * 99 / 100] : 0.0);
  size_t sent = 0;
  for (size_t number = 0; number < set.callers; number++) sent += callers[number].calls;
  printf("\"sent\":%zu,\"wrong\":%zu,\"missing\":%zu,\"cpu_s\":%.6f,\"fault\":", sent, wrong,
         missing, cpu_s);
  fault.size ? print_text(&fault) : (void)printf("null");
  isnan(command_s) ? (void)printf(",\"command_cpu_s\":null}\n")
                   : (void)printf(",\"command_cpu_s\":%.6f}\n", command_s);
}

int main(int count, char **words) {
  if (!read_options(&set, count, words)) return 2;
  signal(SIGPIPE, SIG_IGN);
  if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) abort();
  open_sessions();
  keeps_calling = true;
  measures = set.calls > 0;
  double began_s = now_s(), command_s = command_cpu_s();
  for (size_t number = 0; number < set.callers; number++) call(&callers[number]);
  if (!measures) {
    run_until_warm();
    measures = true;
    began_s = now_s();
    command_s = command_cpu_s();
  }
  set.calls ? run_while_answered() : run_until(began_s + set.seconds);
  double took_s = now_s() - began_s;
  command_s = command_cpu_s() - command_s;
  measures = keeps_calling = false;
  if (!set.calls) run_until(now_s() + set.patience_s);
  for (size_t number = 0; number < set.callers; number++) missing += callers[number].state != ENDED;
  if (missing && !fault.size) append_text(&fault, "a call had no answer");
  if (set.mode == HTTP && !set.keeps_sessions) close_sessions();
  if (set.mode == STDIO) pipes_close(&shared, set.patience_s);
  report(took_s, command_s);
}
