-- SPDX-License-Identifier: Apache-2.0
--
-- udpt.lua - a Wireshark dissector for UDPT/1 (docs/protocol.md).
--
--   tshark -X lua_script:packaging/wireshark/udpt.lua -r FILE -Y udpt
--   -o tcp.try_heuristic_first:TRUE where the port is another dissector's (7000 is Gryphon's)
--   or: copy it into the folder that Help > About Wireshark > Folders calls Personal Lua Plugins
--
-- What an announced id stands for is told on the session's control leg, another TCP stream; it is
-- remembered by session, so where the capture has the announcement the datagrams of every leg show
-- their binding and peer. A TCP stream that begins with a HELLO is recognized by itself; for a capture that begins later:
-- Decode As, UDPT. Inside Shadowsocks and the like there is nothing to see: capture between
-- udp-local and the proxy's local port, or between the proxy's server and udp-server.

local udpt = Proto("udpt", "UDP in TCP-like streams, UDPT/1")

local HANDSHAKE = { [1] = "HELLO", [2] = "WELCOME", [3] = "CONFIRM", [4] = "REFUSE" }
local REFUSALS = {
    [1] = "no version in common", [2] = "too many sessions", [3] = "no such leg",
    [4] = "session unknown", [5] = "superseded by a newer stream", [6] = "secret not proved",
    [7] = "stopping", [8] = "out of resources",
}
local CONTROL = {
    [0x01] = "CLOCK", [0x02] = "ACK", [0x04] = "PING", [0x06] = "PONG", [0x08] = "ANNOUNCE",
    [0x0a] = "ANNOUNCED", [0x0c] = "RETIRE", [0x0e] = "RETIRED", [0x10] = "OPEN",
    [0x12] = "OPENED", [0x14] = "CLOSE", [0x16] = "CLOSED", [0x17] = "ERROR", [0x19] = "SETTINGS",
    [0x1a] = "GOODBYE", [0x1c] = "REFUSED", [0x1e] = "LEAVE",
}
local PARAMETERS = {
    [1] = "heartbeat interval, ms", [2] = "dead interval, ms", [3] = "session kept for, ms",
    [4] = "most bindings", [5] = "idle time of a binding, ms", [6] = "oldest datagram, ms",
    [7] = "copies", [8] = "copied up to, bytes", [9] = "most data legs",
    [10] = "serial of the settings", [11] = "capabilities",
}
local GOODBYES = { [0] = "over", [1] = "back soon" }
local CLOSINGS = {
    [1] = "idle", [2] = "evicted at a cap", [3] = "closed by the other end",
    [4] = "its session ended", [5] = "it could not be opened", [6] = "closed by the program",
}
local ERRORS = {
    [1] = "port unreachable", [2] = "host unreachable", [3] = "too big",
    [4] = "refused by policy", [5] = "a limit was reached",
}

local F = {
    message = ProtoField.uint8("udpt.message", "Message", base.DEC, HANDSHAKE),
    size = ProtoField.uint16("udpt.size", "Size"),
    version_low = ProtoField.uint8("udpt.version_low", "Lowest version"),
    version_high = ProtoField.uint8("udpt.version_high", "Highest version"),
    version = ProtoField.uint8("udpt.version", "Version"),
    session = ProtoField.bytes("udpt.session", "Session", base.NONE),
    leg = ProtoField.uint64("udpt.leg", "Leg"),
    generation = ProtoField.uint64("udpt.generation", "Generation"),
    client_incarnation = ProtoField.uint64("udpt.client_incarnation", "Client's incarnation"),
    known = ProtoField.uint8("udpt.known", "Session known", base.DEC, { [0] = "no", [1] = "yes" }),
    epoch = ProtoField.uint64("udpt.epoch", "Server's epoch", base.HEX),
    incarnation = ProtoField.uint64("udpt.incarnation", "Session's incarnation"),
    nonce = ProtoField.bytes("udpt.nonce", "Nonce", base.NONE),
    share = ProtoField.bytes("udpt.share", "X25519 share", base.NONE),
    intent = ProtoField.uint8("udpt.intent", "Intent", base.DEC, { [0] = "create", [1] = "join" }),
    mac = ProtoField.bytes("udpt.mac", "MAC", base.NONE),
    parameter = ProtoField.uint64("udpt.parameter", "Parameter", base.DEC),
    refusal = ProtoField.uint64("udpt.refusal", "Reason"),
    text = ProtoField.string("udpt.text", "Text"),
    length = ProtoField.uint64("udpt.length", "Length"),
    id = ProtoField.uint64("udpt.id", "Id"),
    control = ProtoField.uint64("udpt.control", "Control frame"),
    binding = ProtoField.uint64("udpt.binding", "Binding"),
    flags = ProtoField.uint8("udpt.flags", "Flags", base.HEX),
    label = ProtoField.uint64("udpt.label", "Label", base.HEX),
    source_port = ProtoField.uint16("udpt.source_port", "Source port"),
    dont_fragment = ProtoField.bool("udpt.dont_fragment", "Don't fragment"),
    sequence = ProtoField.uint32("udpt.sequence", "Sequence number"),
    peer4 = ProtoField.ipv4("udpt.peer.ipv4", "Address"),
    peer6 = ProtoField.ipv6("udpt.peer.ipv6", "Address"),
    peer_name = ProtoField.string("udpt.peer.name", "Host name"),
    peer_port = ProtoField.uint16("udpt.peer.port", "Port"),
    peer = ProtoField.string("udpt.peer", "Peer"),
    payload = ProtoField.bytes("udpt.payload", "Payload", base.NONE),
    time = ProtoField.uint32("udpt.time", "Sender's clock, ms"),
    received = ProtoField.uint64("udpt.ack.received", "Bytes received"),
    delay = ProtoField.uint64("udpt.ack.delay_us", "Delay, µs"),
    count = ProtoField.uint64("udpt.ack.count", "Entries"),
    token = ProtoField.uint64("udpt.token", "Token", base.HEX),
    announced = ProtoField.uint64("udpt.announced", "Announced id"),
    port4 = ProtoField.uint16("udpt.port4", "IPv4 port"),
    port6 = ProtoField.uint16("udpt.port6", "IPv6 port"),
    reason = ProtoField.uint64("udpt.reason", "Reason"),
    code = ProtoField.uint64("udpt.code", "Code"),
    value = ProtoField.uint64("udpt.value", "Value"),
}
udpt.fields = F

local broken = ProtoExpert.new("udpt.broken", "Not as UDPT/1 has it", expert.group.MALFORMED,
    expert.severity.ERROR)
udpt.experts = { broken }

-- ---- what other streams of the session have told -------------------------------------------------

local tcp_stream = Field.new("tcp.stream")
local sessions = {}  -- number of the TCP stream -> session, by its HELLO
local announced = {} -- session -> id -> announcements in their order

function udpt.init()
    sessions = {}
    announced = {}
end

-- An id may be announced again with another meaning, so each announcement holds from its packet on.
local function remember(context, id, meaning)
    local session = sessions[context.stream]
    if not session or context.visited then
        return
    end
    announced[session] = announced[session] or {}
    local all = announced[session][id] or {}
    announced[session][id] = all
    meaning.number = context.number
    all[#all + 1] = meaning
end

local function meaning_of(context, id)
    local all = (announced[sessions[context.stream]] or {})[id] or {}
    for i = #all, 1, -1 do
        if all[i].number <= context.number then
            return all[i]
        end
    end
    return nil
end

-- ---- one reader for every field ---------------------------------------------------------------
--
-- A reader goes through `tvb` up to `stop`. A field that does not fit raises an error, which
-- dissect() turns into an expert item.

local Reader = {}
Reader.__index = Reader

local function reader(tvb, at, stop, tree, context)
    return setmetatable({ tvb = tvb, at = at, stop = stop, tree = tree, context = context }, Reader)
end

function Reader:take(size)
    if self.at + size > self.stop then
        error("ends too early", 0)
    end
    local range = self.tvb(self.at, size)
    self.at = self.at + size
    return range
end

-- A field of fixed size; returns its range.
function Reader:field(field, size)
    local range = self:take(size)
    self.tree:add(field, range)
    return range
end

-- Size and value of a varint at `at`; nil: it ends behind `stop`.
local function varint_at(tvb, at, stop)
    if at >= stop then
        return nil
    end
    local size = 2 ^ tvb(at, 1):bitfield(0, 2)
    if at + size > stop then
        return nil
    end
    if size == 8 then
        return size, tvb(at, 4):bitfield(2, 30) * 2 ^ 32 + tvb(at + 4, 4):uint()
    end
    return size, tvb(at, size):bitfield(2, size * 8 - 2)
end

-- A varint; returns its value and its item, if it has one.
function Reader:varint(field, names)
    local size, value = varint_at(self.tvb, self.at, self.stop)
    if not size then
        error("ends too early", 0)
    end
    local range = self:take(size)
    local item = field and self.tree:add(field, range, UInt64.new(value % 2 ^ 32, value / 2 ^ 32))
    if item and names then
        item:append_text(" (" .. (names[value] or "unknown") .. ")")
    end
    return value, item, range
end

function Reader:rest(field)
    if self.at < self.stop then
        self:field(field, self.stop - self.at)
    end
end

function Reader:address()
    local kind = self:take(1):uint()
    local port = self:field(F.peer_port, 2):uint()
    if kind == 4 then
        return tostring(self:field(F.peer4, 4):ipv4()) .. ":" .. port
    elseif kind == 6 then
        return "[" .. tostring(self:field(F.peer6, 16):ipv6()) .. "]:" .. port
    elseif kind == 3 then
        return self:field(F.peer_name, self:take(1):uint()):string() .. ":" .. port
    end
    error("no such kind of address: " .. kind, 0)
end

function Reader:parameters()
    while self.at < self.stop do
        local id = self:varint()
        local size = self:varint()
        local stop = self.at + size
        if stop > self.stop then
            error("a parameter ends too late", 0)
        end
        local _, item = self:varint(F.parameter)
        item:prepend_text((PARAMETERS[id] or ("unknown " .. id)) .. ": ")
        self.at = stop
    end
end

-- ---- the handshake ----------------------------------------------------------------------------

local function dissect_handshake(tvb, at, size, tree, summary, context)
    local r = reader(tvb, at, at + size - 32, tree, context)
    r:take(4)
    r:field(F.size, 2)
    local kind = r:field(F.message, 1):uint()
    if kind == 1 then
        r:field(F.version_low, 1)
        local high = r:field(F.version_high, 1):uint()
        sessions[context.stream] = r:field(F.session, 16):bytes():tohex()
        local leg = r:field(F.leg, 1):uint()
        r:field(F.generation, 4)
        r:field(F.client_incarnation, 8)
        r:field(high > 1 and F.share or F.nonce, 32)
        r:parameters()
        summary[#summary + 1] = "HELLO leg " .. leg
    elseif kind == 2 then
        local version = r:field(F.version, 1):uint()
        local known = r:field(F.known, 1):uint()
        r:field(F.epoch, 8)
        r:field(F.incarnation, 8)
        r:field(version > 1 and known == 0 and F.share or F.nonce, 32)
        r:parameters()
        summary[#summary + 1] = "WELCOME"
    elseif kind == 3 then
        local intent = r:field(F.intent, 1):uint()
        summary[#summary + 1] = "CONFIRM " .. (intent == 0 and "create" or "join")
    else
        r:varint(F.refusal, REFUSALS)
        r:rest(F.text)
        summary[#summary + 1] = "REFUSE"
    end
    tree:add(F.mac, tvb(at + size - 32, 32))
end

-- ---- frames -----------------------------------------------------------------------------------

local function ack(r)
    local count = r:varint(F.count)
    for _ = 1, count do
        r:varint(F.leg)
        r:varint(F.generation)
        r:varint(F.received)
        r:varint(F.delay)
    end
end

local function token(r)
    r:field(F.token, 8)
end

local function announced_id(r)
    r:varint(F.announced)
end

local CONTROL_BODY = {
    [0x01] = function(r) r:field(F.time, 4) end,
    [0x02] = ack,
    [0x04] = token,
    [0x06] = token,
    [0x08] = function(r)
        local id = r:varint(F.announced)
        local flags = r:field(F.flags, 1):uint()
        local binding = r:varint(F.binding)
        remember(r.context, id,
            { binding = binding, peer = r:address(), has_sequence = flags % 2 == 1 })
    end,
    [0x0a] = announced_id,
    [0x0c] = announced_id,
    [0x0e] = announced_id,
    [0x10] = function(r)
        r:varint(F.binding)
        r:field(F.label, 8)
        r:field(F.port4, 2)
        r:field(F.port6, 2)
    end,
    [0x12] = function(r)
        r:varint(F.binding)
        r:address()
    end,
    [0x14] = function(r)
        r:varint(F.binding)
        r:varint(F.reason, CLOSINGS)
    end,
    [0x16] = function(r) r:varint(F.binding) end,
    [0x17] = function(r)
        r:varint(F.binding)
        r:varint(F.code, ERRORS)
        r:varint(F.value)
        r:address()
    end,
    [0x19] = function(r) r:parameters() end,
    [0x1a] = function(r)
        r:varint(F.reason, GOODBYES)
        r:rest(F.text)
    end,
    [0x1c] = function(r) r:varint(F.refusal, REFUSALS) end,
    [0x1e] = function(r)
        r:varint(F.leg)
        r:varint(F.generation)
    end,
}

local function dissect_control(r, summary)
    local kind = r:varint(F.control, CONTROL)
    summary[#summary + 1] = CONTROL[kind] or string.format("control 0x%02x", kind)
    if CONTROL_BODY[kind] then
        CONTROL_BODY[kind](r)
    elseif kind % 2 == 0 then
        error("an unknown control frame that may not be ignored", 0)
    end
end

local function dissect_inline(r, summary)
    local flags = r:field(F.flags, 1):uint()
    local binding = r:varint(F.binding)
    if flags % 4 >= 2 then
        r:field(F.label, 8)
    end
    if flags % 8 >= 4 then
        r:field(F.source_port, 2)
    end
    if flags % 16 >= 8 then
        r.tree:add(F.dont_fragment, true):set_generated()
    end
    if flags % 2 == 1 then
        r:field(F.sequence, 4)
    end
    local peer = r:address()
    summary[#summary + 1] = string.format("datagram of %d, %s, %d bytes", binding, peer,
        r.stop - r.at)
    r:rest(F.payload)
end

-- Where the announcement is not in the capture, a sequence number cannot be told from the payload.
local function dissect_announced(r, id, summary)
    local meaning = meaning_of(r.context, id)
    if not meaning then
        summary[#summary + 1] = string.format("datagram by id %d, %d bytes", id, r.stop - r.at)
        r:rest(F.payload)
        return
    end
    r.tree:add(F.binding, UInt64.new(meaning.binding)):set_generated()
    r.tree:add(F.peer, meaning.peer):set_generated()
    if meaning.has_sequence then
        r:field(F.sequence, 4)
    end
    summary[#summary + 1] = string.format("datagram of %d by id %d, %s, %d bytes",
        meaning.binding, id, meaning.peer, r.stop - r.at)
    r:rest(F.payload)
end

local function dissect_frame(tvb, at, size, tree, summary, context)
    local r = reader(tvb, at, at + size, tree, context)
    r:varint(F.length)
    local id = r:varint(F.id)
    if id == 0 then
        dissect_control(r, summary)
    elseif id == 1 then
        dissect_inline(r, summary)
    else
        dissect_announced(r, id, summary)
    end
end

-- ---- the stream -------------------------------------------------------------------------------

-- A message or a frame? The magic is also how a frame of 5,444 bytes could begin; a size and a
-- type that fit tell one from the other.
local function is_handshake(tvb, at, stop)
    if stop - at < 7 or tvb(at, 4):string() ~= "UDPT" then
        return false
    end
    local size = tvb(at + 4, 2):uint()
    return size >= 33 and size <= 506 and HANDSHAKE[tvb(at + 6, 1):uint()] ~= nil
end

-- The size of what begins at `at`, and whether it is of the handshake; nil: not known yet.
local function next_size(tvb, at, stop)
    if is_handshake(tvb, at, stop) then
        return 6 + tvb(at + 4, 2):uint(), true
    end
    local begun = math.min(4, stop - at)
    if stop - at < 7 and tvb(at, begun):string() == ("UDPT"):sub(1, begun) then
        return nil
    end
    local size, length = varint_at(tvb, at, stop)
    return size and size + length, false
end

function udpt.dissector(tvb, pinfo, root)
    local at, stop = 0, tvb:reported_length_remaining()
    local summary = {}
    local context = { stream = tcp_stream().value, number = pinfo.number, visited = pinfo.visited }
    pinfo.cols.protocol = "UDPT"
    while at < stop do
        local size, handshake = next_size(tvb, at, stop)
        if not size or at + size > stop then
            pinfo.desegment_offset = at
            pinfo.desegment_len = size and at + size - stop or DESEGMENT_ONE_MORE_SEGMENT
            break
        end
        local tree = root:add(udpt, tvb(at, size), handshake and "UDPT handshake" or "UDPT frame")
        local ok, reason = pcall(handshake and dissect_handshake or dissect_frame, tvb, at, size,
            tree, summary, context)
        if ok then
            tree:append_text(": " .. summary[#summary])
        else
            tree:add_proto_expert_info(broken, tostring(reason))
            summary[#summary + 1] = "broken"
        end
        at = at + size
    end
    if #summary > 0 then
        -- The blank: in a packet that ends a reassembly this is called again for what follows.
        pinfo.cols.info = table.concat(summary, "; ") .. " "
    end
    return stop
end

local function looks_like_udpt(tvb, pinfo, root)
    if not is_handshake(tvb, 0, tvb:reported_length_remaining()) then
        return false
    end
    pinfo.conversation = udpt
    udpt.dissector(tvb, pinfo, root)
    return true
end

udpt:register_heuristic("tcp", looks_like_udpt)
DissectorTable.get("tcp.port"):add_for_decode_as(udpt)
