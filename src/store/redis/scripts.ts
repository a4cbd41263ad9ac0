/**
 * What has to happen in one piece, in Lua: whoever looks meanwhile sees all of it or nothing, and a server that refuses
 * to write (full, a replica) refuses before the first change. Each script touches the keys of one model only, which lie
 * in one slot of a Cluster. The bytes are described in {@link ./values.ts}.
 *
 * @module
 */

/** A script, and the digest by which Redis knows it. */
export interface Script {
  readonly source: string;
  /** SHA-1 in hexadecimal; see https://redis.io/docs/latest/commands/evalsha/. */
  readonly digest: string;
}

/** All scripts of a store. */
export interface Scripts {
  readonly put: Script;
  readonly remove: Script;
  readonly claim: Script;
  readonly release: Script;
  readonly fail: Script;
  readonly post: Script;
}

/**
 * Keys outlive the answers in them by this many milliseconds: the clocks of those who use a server differ, and what has
 * just expired is reported as such, not as never there.
 */
const MARGIN = 60_000;
/** The longest that Redis is asked to keep a key which does not live for ever: a thousand years. */
const LONGEST = 1000 * 365 * 24 * 60 * 60 * 1000;

/** What scripts about lists share. */
const LISTS = `
local key = KEYS[1]

-- An answer's head: created, expires, size, stored; nil for what is no answer; true for a newer program's.
local function head(element)
  if #element < 1 then return nil end
  local version = string.byte(element, 1)
  if version > 1 then return true end
  if version < 1 or #element < 58 or struct.unpack('<d', element, 43) ~= #element then return nil end
  local created, expires, size, stored = struct.unpack('<dddd', element, 10)
  return {created = created, expires = expires, size = size, stored = stored, outcome = string.byte(element, 42)}
end

local function readLabel(element)
  if not element or #element < 58 or string.sub(element, 1, 2) ~= '\\0M' then return nil end
  local entries, body, stored, first, last, at = struct.unpack('<ddddd', element, 19)
  local words = {}
  while at <= #element do
    if at + 3 > #element then return nil end
    local size = struct.unpack('<I4', element, at)
    if at + 3 + size > #element then return nil end
    words[#words + 1] = string.sub(element, at + 4, at + 3 + size)
    at = at + 4 + size
  end
  if #words < 2 then return nil end
  return {sketch = string.sub(element, 3, 18), entries = entries, body = body, stored = stored, first = first,
    last = last, words = words}
end

local function count(label, answers)
  for _, element in ipairs(answers) do
    local it = head(element)
    label.entries = label.entries + 1
    if it == true then
      label.last = math.huge
    else
      label.body = label.body + it.size
      label.stored = label.stored + it.stored
      label.first = math.min(label.first, it.expires)
      label.last = math.max(label.last, it.expires)
    end
  end
end

local function discount(label, it)
  label.entries, label.body, label.stored = label.entries - 1, label.body - it.size, label.stored - it.stored
end

local function writeLabel(label)
  local parts = {'\\0M', label.sketch,
    struct.pack('<ddddd', label.entries, label.body, label.stored, label.first, label.last)}
  for _, word in ipairs(label.words) do parts[#parts + 1] = struct.pack('<I4', #word) .. word end
  return table.concat(parts)
end

local function emptied(label)
  return {sketch = label.sketch, words = label.words, entries = 0, body = 0, stored = 0, first = math.huge, last = 0}
end

local function push(elements, first)
  for at = first or 1, #elements, 500 do
    redis.call('RPUSH', key, unpack(elements, at, math.min(at + 499, #elements)))
  end
end
`;

/**
 * Stores a request and answers to it.
 *
 * KEYS: the list. ARGV: placement, now, how long to keep what has expired, lateness, sketch, model, namespace, the
 * request; then three lists, each behind its length: tags, heads of answers that are known to be broken, new answers.
 * Lateness is \`waited\` for what had to wait, \`again\` for what may have happened already, and else empty.
 */
const PUT = `${LISTS}
local placement, now, keep, lateness = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) or math.huge, ARGV[4]
local at = 9
local function several()
  local found = {}
  for index = 1, tonumber(ARGV[at]) do found[index] = ARGV[at + index] end
  at = at + #found + 1
  return found
end
local tags, broken, added = several(), several(), several()

local kind = redis.call('TYPE', key).ok
local length = kind == 'list' and redis.call('LLEN', key) or 0
local label = length > 0 and readLabel(redis.call('LINDEX', key, 0)) or nil

local words = {ARGV[6], ARGV[7]}
local known = {}
local function tagged(tag)
  if not known[tag] then
    known[tag] = true
    words[#words + 1] = tag
  end
end
if label then for index = 3, #label.words do tagged(label.words[index]) end end
for _, tag in ipairs(tags) do tagged(tag) end

if lateness == 'again' then
  local ids = {}
  for _, element in ipairs(added) do ids[string.sub(element, 2, 9)] = true end
  -- It came last, unless others have come since.
  for last = length - 1, 0, -64 do
    for _, element in ipairs(redis.call('LRANGE', key, math.max(last - 63, 0), last)) do
      local it = head(element)
      if it and it ~= true and ids[string.sub(element, 2, 9)] then return 0 end
    end
  end
end

-- A long list is not read for every answer to be added: what is broken there goes when somebody has come upon it, and
-- what has expired goes from the front, where the oldest are.
local long = label and length == label.entries + 2 and length > 32 and #broken == 0
-- What waited takes the place of what was there before it, and of nothing that has been stored since.
local since = lateness ~= '' and #added > 0 and head(added[1]).created or math.huge
local function gives(it)
  return it ~= true and it.created <= since
end

if long and placement ~= 'replace_all' then
  local next = 1
  if placement == 'replace' then
    for first = 2, length - 1, 64 do
      if next > #added then break end
      for offset, element in ipairs(redis.call('LRANGE', key, first, first + 63)) do
        local it = head(element)
        if next <= #added and it and gives(it) and it.expires > now then
          redis.call('LSET', key, first + offset - 1, added[next])
          discount(label, it)
          next = next + 1
        end
      end
    end
  else
    for _, element in ipairs(label.first <= now and redis.call('LRANGE', key, 2, 33) or {}) do
      local it = head(element)
      if it and it ~= true and it.expires <= now then
        redis.call('LREM', key, 1, element)
        discount(label, it)
      end
    end
  end
  label.words = words
  count(label, added)
  push(added, next)
  redis.call('LSET', key, 0, writeLabel(label))
else
  local answers, seen = {}, {}
  local kept = (placement ~= 'replace_all' or since < math.huge) and length > 0
  for _, element in ipairs(kept and redis.call('LRANGE', key, 0, -1) or {}) do
    local it = head(element)
    local sound = it == true or (it and it.expires > now)
    for _, start in ipairs(broken) do
      if string.sub(element, 1, #start) == start then sound = false end
    end
    if placement == 'replace_all' and sound and (it == true or gives(it)) then sound = false end
    if sound and it ~= true then
      local id = string.sub(element, 2, 9)
      sound = not seen[id]
      seen[id] = true
    end
    if sound then answers[#answers + 1] = element end
  end
  local next = 1
  if placement == 'replace' then
    for index, element in ipairs(answers) do
      if next <= #added and gives(head(element)) then
        answers[index] = added[next]
        next = next + 1
      end
    end
  end
  for index = next, #added do answers[#answers + 1] = added[index] end
  label = emptied({sketch = ARGV[5], words = words})
  count(label, answers)
  if kind ~= 'list' and kind ~= 'none' then redis.call('DEL', key) end
  push({writeLabel(label), ARGV[8]})
  push(answers)
  -- Counted from the end, so that the same holds where a torn log has more in front of it: see lookups.ts.
  if length > 0 then redis.call('LTRIM', key, -(2 + #answers), -1) end
end
if label.last < math.huge and keep < math.huge then
  local remaining = math.max(label.last - now, 0) + keep + ${MARGIN}
  redis.call('PEXPIRE', key, string.format('%.0f', math.min(remaining, ${LONGEST})))
elseif length > 0 then
  redis.call('PERSIST', key)
end
return 1
`;

/**
 * Removes answers, and what is known of a request that has none left.
 *
 * KEYS: the list, the request's failures. ARGV: model, namespace, tag, outcome, created before; each empty where it does
 * not matter, and else behind a \`=\`. Gives how many went and how many bytes they took.
 */
const REMOVE = `${LISTS}
local function said(index)
  if ARGV[index] == '' then return nil end
  return string.sub(ARGV[index], 2)
end
local model, namespace, tag, outcome, before = said(1), said(2), said(3), tonumber(said(4)), tonumber(said(5))
local kind = redis.call('TYPE', key).ok
if kind == 'none' then return {0, 0} end
local length = kind == 'list' and redis.call('LLEN', key) or 0
local label = length > 0 and readLabel(redis.call('LINDEX', key, 0)) or nil
if label then
  if model and label.words[1] ~= model then return {0, 0} end
  if namespace and label.words[2] ~= namespace then return {0, 0} end
  local has = not tag
  for index = 3, #label.words do has = has or label.words[index] == tag end
  if not has then return {0, 0} end
elseif namespace or tag then
  return {0, 0}
end
-- What goes as a whole need not be read, however long it is.
if not outcome and not before and label and length == label.entries + 2 then
  redis.call('DEL', key, KEYS[2])
  return {label.entries, label.stored}
end
local gone, kept, stored, first = 0, 0, 0, 0
local function goes(it)
  if it == true then return not outcome and not before end
  return (not outcome or it.outcome == outcome) and (not before or it.created < before)
end
-- A little at a time: Lua is slow with much at once.
while first < length - gone do
  for _, element in ipairs(redis.call('LRANGE', key, first, first + 63)) do
    local it = head(element)
    if it and goes(it) then
      redis.call('LREM', key, 1, element)
      gone = gone + 1
      if it ~= true then
        stored = stored + it.stored
        if label then discount(label, it) end
      end
    else
      first = first + 1
      if it then kept = kept + 1 end
    end
  end
end
if kept == 0 then
  redis.call('DEL', key, KEYS[2])
elseif label and gone > 0 then
  redis.call('LSET', key, 0, writeLabel(label))
end
return {gone, stored}
`;

/** Claims a request. KEYS: the claim. ARGV: holder, now, duration, the longest that binds. Gives 1 or when it ends. */
const CLAIM = `
local held = redis.pcall('GET', KEYS[1])
local now, duration = tonumber(ARGV[2]), tonumber(ARGV[3])
if type(held) == 'string' then
  local expires, holder = string.match(held, '^(%-?[%d.]+) (.*)$')
  expires = tonumber(expires)
  if expires and holder ~= ARGV[1] and expires > now and expires - now <= tonumber(ARGV[4]) then
    return string.format('%.0f', expires)
  end
end
redis.call('SET', KEYS[1], string.format('%.0f', now + duration) .. ' ' .. ARGV[1], 'PX',
  string.format('%.0f', duration + ${MARGIN}))
return 1
`;

/** Gives a claim up. KEYS: the claim. ARGV: holder. */
const RELEASE = `
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.match(held, '^%-?[%d.]+ (.*)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`;

/** Counts a failure. KEYS: the request's failures. ARGV: last, expires or nothing, error, how long to remember. */
const FAIL = `
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
redis.call('HINCRBY', KEYS[1], 'count', 1)
redis.call('HSET', KEYS[1], 'last', ARGV[1], 'expires', ARGV[2], 'error', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`;

/** Adds amounts, once. KEYS: the ledger, what says that these were added. ARGV: names and amounts in turn. */
const POST = `
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', '3600000') then return 0 end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
for index = 1, #ARGV, 2 do
  local reply = redis.pcall('HINCRBYFLOAT', KEYS[1], ARGV[index], ARGV[index + 1])
  -- What is no number was put there by somebody else.
  if type(reply) == 'table' and reply.err then redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
end
return 1
`;

/** Computes the digests of all scripts. */
export async function loadScripts(): Promise<Scripts> {
  const [put, remove, claim, release, fail, post] = await Promise.all(
    [PUT, REMOVE, CLAIM, RELEASE, FAIL, POST].map(withDigest),
  );
  return { put: put!, remove: remove!, claim: claim!, release: release!, fail: fail!, post: post! };
}

async function withDigest(source: string): Promise<Script> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(source)));
  return { source, digest: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}
