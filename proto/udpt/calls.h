/* SPDX-License-Identifier: Apache-2.0 */
/* calls.h - what the files of the machine do for each other, file by file; part of internal.h. */
#ifndef PROTO_UDPT_CALLS_H
#define PROTO_UDPT_CALLS_H

/* machine.c */
void machine_enter(struct udptun_machine *m, uint64_t now_us);
void machine_leave(struct udptun_machine *m);
/* At the latest then: leg_tick() or the end of a handshake; session_due(); session_lanes_due(). */
void conn_wake(struct udptun_conn *c, uint64_t at_us);
void session_wake(struct udptun_session *s, uint64_t at_us);
void lanes_wake(struct udptun_session *s, uint64_t at_us);
void machine_conn_due(struct alarm *t);
void machine_random(struct udptun_machine *m, void *to, size_t size);
void machine_log(struct udptun_machine *m, enum udptun_machine_log level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t machine_hash(const struct udptun_machine *m, const void *data, size_t size);
/* Of an id that the far end chose. */
uint64_t machine_hash_id(const struct udptun_machine *m, uint64_t id);

/* conn.c */
struct udptun_conn *conn_new(struct udptun_machine *m, enum conn_state state);
void conn_kill(struct udptun_conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void conn_bury(struct udptun_conn *c);
/* Its output goes out first, within two seconds. */
void conn_finish(struct udptun_conn *c, const char *reason);
uint8_t *conn_reserve(struct udptun_conn *c, size_t size); /* NULL: the conn is dead now */
void conn_commit(struct udptun_conn *c, size_t size);
size_t conn_pending(const struct udptun_conn *c);
void conn_count_held(struct udptun_conn *c); /* the size of its buffers may have changed */
void conn_set_session(struct udptun_conn *c, struct udptun_session *s); /* which may be NULL */
bool conn_send_hello(struct udptun_conn *c);

/* leg.c */
void leg_attach(struct udptun_conn *c);
void leg_detach(struct udptun_conn *c);
bool leg_frame(struct udptun_conn *c, uint64_t id, struct reader *body, size_t size);
void leg_count_sent(struct udptun_conn *c, size_t size);
void leg_acked(struct udptun_conn *c, uint64_t received, uint64_t delay_us);
void leg_send_acks(struct udptun_session *s, struct udptun_conn *on);
/* What follows was handed over at `since_us`: the wait in the queue counts for its age, too. */
void leg_send_clock(struct udptun_conn *c, uint64_t since_us);
void leg_rtt_sample(struct udptun_conn *c, uint64_t rtt_us);
uint64_t leg_unacked_since(const struct udptun_conn *c); /* 0: all is acknowledged */
void leg_heartbeat(struct udptun_conn *c);
void leg_pong(struct udptun_conn *c, uint64_t token);
void leg_tick(struct udptun_conn *c);

/* session.c */
struct udptun_session *session_new(struct udptun_machine *m);
/* Ends its conns and bindings now; the memory goes with session_bury(). */
void session_end(struct udptun_session *s, const char *reason);
void session_bury(struct udptun_session *s);
void session_abandon(struct udptun_session *s); /* frees one that nobody has heard of */
void session_timers(const struct udptun_session *s, uint64_t *heartbeat_us, uint64_t *dead_us);
void session_enter_state(struct udptun_session *s, enum udptun_machine_state state,
                         const char *reason);
void session_due(struct alarm *t);
void session_lanes_due(struct alarm *t);
unsigned session_legs_up(const struct udptun_session *s); /* data legs and control */
struct udptun_conn *session_control(const struct udptun_session *s);
/* What control frames go on: the control leg, or without_control the lowest data leg. NULL: it is
 * not up. */
struct udptun_conn *session_speaker(const struct udptun_session *s);
void session_go_without_control(struct udptun_session *s);
struct udptun_conn *session_best(const struct udptun_session *s); /* for what may go anywhere */
void session_leg_up(struct udptun_session *s, struct udptun_conn *c);
void session_leg_down(struct udptun_session *s, struct udptun_conn *c);
void session_drop_legs(struct udptun_session *s, const char *reason);

/* route.c */
uint64_t route_min_rtt_us(const struct udptun_session *s); /* 0: not measured */
bool session_is_far(const struct udptun_session *s);       /* round trips are worth saving */
void route_classify(struct udptun_binding *b, size_t size);
bool route_is_thin(const struct udptun_binding *b);
struct udptun_conn *route_sticky(struct udptun_binding *b); /* NULL: no leg is up */
bool route_writable(const struct udptun_conn *c);           /* a datagram may be written now */
void route_update(struct udptun_session *s);     /* legs came or went, or were measured */
void route_want_flush(struct udptun_session *s); /* the thin lane, at the end of the turn */
void route_flush(struct udptun_session *s);
unsigned route_copies(const struct udptun_session *s);
unsigned route_legs_needed(const struct udptun_session *s); /* data legs */
struct udptun_conn *route_data_leg(const struct udptun_session *s,
                                   unsigned number); /* up, or NULL */
bool route_is_bulk_leg(const struct udptun_conn *c);
uint64_t route_load(const struct udptun_conn *c); /* bytes unacknowledged */

/* sparse.c */
void sparse_flush(struct udptun_session *s);
void sparse_drop_copies(struct udptun_session *s); /* who would drop them as copies has forgotten */
void sparse_forget(struct udptun_session *s, const struct udptun_conn *c);
/* The stream for an acknowledgement that is owed since `age_us`; NULL: not now, but at *retry_us.
 */
struct udptun_conn *sparse_for_ack(struct udptun_session *s, struct udptun_conn *owing,
                                   uint64_t age_us, uint64_t *retry_us);

/* age.c */
void age_reset(struct age *a);
void age_heard(struct udptun_conn *c, uint32_t clock_ms);
bool age_is_stale(const struct udptun_conn *c); /* what comes on it now is too old to deliver */

/* client.c */
void client_tick(struct udptun_session *s);
void client_network_changed(struct udptun_session *s);
void client_resume(struct udptun_session *s, const struct udptun_session_identity *identity);
void client_welcomed(struct udptun_conn *c);
void client_refused(struct udptun_conn *c, uint64_t reason);
void client_heard(struct udptun_conn *c); /* the first frame on a leg */
/* dialling.c */
void client_back_off(struct udptun_session *s, struct leg *leg);
void client_want(struct udptun_session *s, unsigned number); /* it is dialled, now or later */
void client_probe(struct udptun_session *s); /* an outage: attempts on several legs */
/* Its time is over. True: it may go on, and has more of it. */
bool client_keeps_attempt(struct udptun_conn *c);
bool client_is_limited(const struct leg *leg);
/* The first leg that is limited, or UDPTUN_MACHINE_MAX_LEGS: there is none. */
unsigned client_first_limited(const struct udptun_session *s);
/* client.c */
void client_attempt_ended(struct udptun_conn *c);
void client_leg_lost(struct udptun_session *s, const struct udptun_conn *c);
void client_session_lost(struct udptun_session *s, const char *reason);
void client_update_state(struct udptun_session *s, const char *reason);
void client_pressure(struct udptun_session *s); /* datagrams had to wait */

/* room.c: conns in handshake */
bool room_enter(struct waiting_room *room, struct udptun_conn *c); /* false: out of memory */
void room_prove(struct udptun_conn *c); /* from the silent to the proved; it may be killed */
void room_leave(struct waiting_room *room, struct udptun_conn *c);
void room_fini(struct waiting_room *room);
uint32_t room_count(const struct udptun_machine *m); /* in both */
/* One gives way: at random one that is silent; one that proved the key only where none is. */
void room_evict(struct udptun_machine *m);

/* server.c */
void server_hello(struct udptun_conn *c);
void server_confirm(struct udptun_conn *c, const uint8_t *data, size_t size);
void server_leg_lost(struct udptun_session *s);
void server_session_ended(struct udptun_session *s);
bool server_is_older(const struct udptun_session *s, const struct udpt_params *wanted);
void server_tick(struct udptun_session *s);
/* What the client wishes, within bounds; what is absent stays. */
void server_agree(struct udptun_session *s, const struct udpt_params *wanted);

/* caps.c */
bool caps_make_room(struct udptun_session *s); /* for one binding more; false: there is none */
void caps_note(struct udptun_machine *m, enum cap cap); /* it is reached now */
/* Which was reached in the last minute, "": none. */
void caps_show(const struct udptun_machine *m, uint64_t now_us, char *text, size_t size);
void caps_keep(struct udptun_machine *m);  /* they were lowered: the oldest are evicted */
void caps_count(struct udptun_session *s); /* it has more or fewer bindings now */

/* binding.c */
struct udptun_binding *binding_new(struct udptun_session *s, uint64_t id, uint64_t label);
struct udptun_binding *binding_find(struct udptun_session *s, uint64_t id);
struct udptun_binding *binding_remote(struct udptun_session *s, uint64_t id, uint64_t label,
                                      uint16_t source_port, uint16_t want4, uint16_t want6);
void binding_free(struct udptun_binding *b, enum udptun_close_reason reason, bool tell);
void binding_orphan_all(struct udptun_session *s); /* the client was restarted */
void binding_touch(struct udptun_binding *b);
void binding_expire(struct udptun_session *s);
bool binding_has_ended(const struct udptun_session *s, uint64_t id);
void binding_end(struct udptun_session *s, uint64_t id); /* server: the id is used up */
/* A datagram of it was lost for that reason: here, or at the far end, which said so. */
void binding_count_error(struct udptun_binding *b, enum udptun_machine_error code);
void binding_tell_external(struct udptun_binding *b); /* server: OPENED, for each family */

/* datagram.c */
void datagram_deliver(struct udptun_binding *b, const struct udptun_dest *dest, const uint8_t *data,
                      size_t size);
bool datagram_fresh(struct udptun_binding *b, uint32_t sequence); /* this copy is the first */
/* The far end is another one, which counts from 0. */
void datagram_sequence_anew(struct udptun_binding *b);
bool datagram_held_now(const struct udptun_binding *b);
/* Its datagrams must wait whatever the leg. */
static inline bool datagram_held(const struct udptun_binding *b)
{
    return (b->awaits_port || b->hold_us != 0) && datagram_held_now(b);
}
/* Write one datagram into the stream's output. False: the stream broke. */
bool datagram_write(struct udptun_binding *b, struct udptun_conn *c, const struct udptun_dest *dest,
                    const uint8_t *data, size_t size);
bool datagram_write_queued(struct udptun_binding *b, struct udptun_conn *c, struct queued *q);

/* queue.c */
int queue_put(struct udptun_binding *b, const struct udptun_dest *dest, const uint8_t *data,
              size_t size);
/* May one more bulk datagram leave on `c`? If not, the session is woken when it may. */
bool queue_look_for_credit(struct udptun_session *s, const struct udptun_conn *c);
static inline bool queue_has_credit(struct udptun_session *s, const struct udptun_conn *c)
{
    return credit_has_allowed(&s->credit, s->m->now_us) || queue_look_for_credit(s, c);
}
/* May its next datagram be written on `c` at once, and pass the queues by? Its own is empty. */
static inline bool queue_may_pass(struct udptun_binding *b, const struct udptun_conn *c)
{
    return !b->bulk || (list_empty(&b->session->bulk_ring) && queue_has_credit(b->session, c));
}
void queue_route(struct udptun_binding *b);  /* into the right list */
void queue_unblocked(struct udptun_conn *c); /* it takes more */
void queue_pump_held(struct udptun_session *s);
void queue_pump_all(struct udptun_session *s);
void queue_reroute(struct udptun_session *s, struct udptun_conn *c); /* it carries no more */
void queue_clear(struct udptun_binding *b);
bool queue_drop_stale(struct udptun_binding *b);     /* its head, if that is stale */
struct queued *queue_take(struct udptun_binding *b); /* the head, now the caller's */
void queue_free(struct queued *q);
size_t queue_payload_size(const struct queued *q);
void queue_expire(struct udptun_session *s);

/* closing.c */
void closing_add(struct udptun_session *s, uint64_t id, enum udptun_close_reason reason);
void closing_acked(struct udptun_session *s, uint64_t id);
void closing_flush(struct udptun_session *s);      /* what need not wait any more is said */
void closing_control_up(struct udptun_session *s); /* all is said again */
void closing_clear(struct udptun_session *s);

/* announce.c */
struct peer *peer_of(struct udptun_binding *b, const struct udptun_dest *dest);
void peer_free(struct peer *p);
bool announce_live(struct peer *p, bool sequenced, uint64_t *id);
void announce_used(struct peer *p);                 /* one more datagram: maybe announce it */
void announce_control_up(struct udptun_session *s); /* say again what was not acknowledged */
void announce_reset(struct udptun_session *s);      /* the far end forgot all */
void announce_fini(struct udptun_session *s);
struct rx_id *announce_lookup(struct udptun_session *s, uint64_t id);
void announce_heard(struct udptun_session *s, uint64_t id, uint8_t flags, struct udptun_binding *b,
                    const struct udptun_dest *dest);
void announce_retire_heard(struct udptun_session *s, uint64_t id);
void announce_acked(struct udptun_session *s, uint64_t id);
void announce_retired(struct udptun_session *s, uint64_t id);
void announce_unknown(struct udptun_session *s, uint64_t id); /* a datagram came with it */
bool announce_may_complain(struct udptun_session *s);         /* ... or with a binding that ended */
void rx_id_free(struct rx_id *rx);

/* control.c */
bool control_frame(struct udptun_conn *c, struct reader *body);
void control_send(struct udptun_conn *c, const uint8_t *body, size_t size);
void control_token(struct udptun_conn *c, enum control_type type, uint64_t token);
void control_id(struct udptun_session *s, enum control_type type, uint64_t id);
void control_announce(struct udptun_session *s, uint64_t id, const struct peer *p);
void control_open(struct udptun_binding *b);
void control_opened(struct udptun_binding *b, const struct udptun_endpoint *external);
void control_close(struct udptun_session *s, uint64_t binding, enum udptun_close_reason reason);
void control_error(struct udptun_binding *b, const struct udptun_dest *dest,
                   enum udptun_machine_error code, uint32_t value);
void control_settings(struct udptun_session *s); /* what a local's config tells the server */
void control_leave(struct udptun_conn *c);
void control_goodbye(struct udptun_conn *c, enum goodbye_reason reason, const char *text);
void control_refused(struct udptun_conn *c, enum refuse_reason reason);

#endif
