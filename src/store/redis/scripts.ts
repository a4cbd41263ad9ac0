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

local function writeLabel(label)
  local parts = {'\\0M', label.sketch,
    struct.pack('<ddddd', label.entries, label.body, label.stored, label.first, label.last)}
  for _, word in ipairs(label.words) do parts[#parts + 1] = struct.pack('<I4', #word) .. word end
  return table.concat(parts)
end

local function emptied(label)
  return {sketch = label.sketch, words = label.words, entries = 0, body = 0, stored = 0, first = math.huge, last = 0}
end

local function push(elements)
  for at = 1, #elements, 500 do
    redis.call('RPUSH', key, unpack(elements, at, math.min(at + 499, #elements)))
  end
end
`;

/**
 * Stores a request and answers to it.
 *
 * KEYS: the list. ARGV: placement, now, how long to keep what has expired, whether this may have happened already,
 * sketch, model, namespace, the request; then three lists, each behind its length: tags, heads of answers that are known
 * to be broken, new answers.
 */
const PUT = `${LISTS}
local placement, now, keep, again = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) or math.huge, ARGV[4] == '1'
local at = 9
local function several()
  local found = {}
  for index = 1, tonumber(ARGV[at]) do found[index] = ARGV[at + index] end
  at = at + #found + 1
  return found
end
local tags, broken, added = several(), several(), several()

local kind = redis.call('TYPE', key).ok
local label = kind == 'list' and readLabel(redis.call('LINDEX', key, 0)) or nil
local length = kind == 'list' and redis.call('LLEN', key) or 0

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

-- A long list is not read for every answer to be added: what is broken there goes when somebody has come upon it.
local long = label and length == label.entries + 2 and length > 32
if long and placement == 'append' and not again and #broken == 0 and label.first > now then
  label.words = words
  count(label, added)
  push(added)
  redis.call('LSET', key, 0, writeLabel(label))
else
  local answers = {}
  for _, element in ipairs(length > 0 and redis.call('LRANGE', key, 0, -1) or {}) do
    local it = head(element)
    if again and it and it ~= true and #added > 0 and string.sub(element, 2, 9) == string.sub(added[1], 2, 9) then
      return 0
    end
    local sound = it == true or (it and it.expires > now)
    for _, start in ipairs(broken) do
      if string.sub(element, 1, #start) == start then sound = false end
    end
    if sound and placement ~= 'replace_all' then answers[#answers + 1] = element end
  end
  local next = 1
  if placement == 'replace' then
    for index, element in ipairs(answers) do
      if next <= #added and head(element) ~= true then
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
  if length > 0 then redis.call('LTRIM', key, length, -1) end
end
if label.last == math.huge or keep == math.huge then
  redis.call('PERSIST', key)
else
  redis.call('PEXPIRE', key, string.format('%.0f', math.max(label.last - now, 0) + keep + ${MARGIN}))
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
local elements = kind == 'list' and redis.call('LRANGE', key, 0, -1) or {}
local label = readLabel(elements[1])
if label then
  if model and label.words[1] ~= model then return {0, 0} end
  if namespace and label.words[2] ~= namespace then return {0, 0} end
  local has = not tag
  for index = 3, #label.words do has = has or label.words[index] == tag end
  if not has then return {0, 0} end
elseif namespace or tag then
  return {0, 0}
end
local kept, entries, stored = {}, 0, 0
for _, element in ipairs(elements) do
  local it = head(element)
  if it == true then
    if outcome or before then kept[#kept + 1] = element else entries = entries + 1 end
  elseif it then
    if (not outcome or it.outcome == outcome) and (not before or it.created < before) then
      entries = entries + 1
      stored = stored + it.stored
    else
      kept[#kept + 1] = element
    end
  end
end
if #kept == 0 then
  redis.call('DEL', key, KEYS[2])
elseif entries > 0 and label then
  local remaining = redis.call('PTTL', key)
  label = emptied(label)
  count(label, kept)
  redis.call('DEL', key)
  push({writeLabel(label), elements[2]})
  push(kept)
  if remaining > 0 then redis.call('PEXPIRE', key, remaining) end
else
  return {0, 0}
end
return {entries, stored}
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
for index = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[index], ARGV[index + 1]) end
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
