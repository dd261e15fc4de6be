-- Turns the scripts into C, and checks them.
--
--   lua5.1 lua/embed.lua OUTPUT-DIRECTORY SCRIPT.lua…
--
-- A script declares its interface in comment lines, so that nobody has to count positions:
--   --: key NAME     it touches the key NAME of src/redis/keys.h; in the script, key_NAME
--   --: arg NAME     an argument; in the script, arg_NAME, in C, SCRIPT_NAME
--   --: rest NAME    any number of strings after the arguments; in the script they start at ARGV[rest]
--   --: use NAME     what the script needs of lib/NAME.lua goes in front, with the keys it touches
--   --: finish NAME  (of a library) the function NAME is called when the script has ended, also by an error
--   --: later NAME   the lines up to `--: now` are the function NAME, which most calls don't need, and what it alone needs; they
--                    are made when NAME is first called, together with those parts of libraries that they alone need
-- It writes scripts.h and scripts.c, and for people and tests scripts/SCRIPT.lua (the whole text as Redis gets it) and
-- scripts/SCRIPT.args (its keys and arguments in order).

local output = arg[1]

local function fail(path, message)
  io.stderr:write(path, ': ', message, '\n')
  os.exit(1)
end

local function read(path)
  local file = io.open(path, 'rb') or fail(path, 'cannot be read')
  local text = file:read('*a')
  file:close()
  return text
end

local function write(path, text)
  local file = io.open(path, 'wb') or fail(path, 'cannot be written')
  file:write(text)
  file:close()
end

-- Splits a library into parts, each with its names. A part begins with each `local` at the start of a line. Redis runs the whole
-- text of a script in each call, and makes its functions anew, 0.15 µs for each. So a script only gets the parts that it needs.
local function split(lines)
  local parts = {}
  for _, line in ipairs(lines) do
    local names = line:match('^local function ([%w_]+)') or line:match('^local ([%w_, ]+)')
    if names or #parts == 0 then
      parts[#parts + 1] = { names = {} }
      for name in (names or ''):gmatch('[%w_]+') do
        parts[#parts].names[#parts[#parts].names + 1] = name
      end
    end
    parts[#parts][#parts[#parts] + 1] = line
  end
  return parts
end

local function add(list, item)
  if not list[item] then
    list[item] = true
    list[#list + 1] = item
  end
end

-- Reads the file at `path` into `script`: its interface lines, and its text without them. `open` holds the files being read.
local function include(script, path, open)
  if open[path] then
    fail(path, 'uses itself')
  end
  open[path] = true
  local own, body, finish = {}, {}, {}
  for line in (read(path) .. '\n'):gmatch('(.-)\n') do
    local kind, name = line:match('^%-%-: (%a+) ([%a_][%w_]*)$')
    if kind == 'key' then
      add(script.keys, name)
    elseif kind == 'arg' then
      add(script.args, name)
    elseif kind == 'rest' then
      script.rest = name
    elseif kind == 'use' then
      local library = path:match('^(.*/)') .. (path:find('/lib/') and '' or 'lib/') .. name .. '.lua'
      if not script.used[library] then
        script.used[library] = true
        include(script, library, open)
      end
    elseif kind == 'finish' then
      finish[#finish + 1] = name
    elseif kind == 'later' or line == '--: now' then
      script.later = name or script.later
      own[#own + 1], body = body, {}
    elseif line:find('^%-%-:') then
      fail(path, 'no such interface line: ' .. line)
    elseif line ~= '' and not line:find('^%s*%-%-') then -- comments are for readers of the file; in memory they would cost 160 KB
      body[#body + 1] = line
    end
  end
  open[path] = nil
  if path:find('/lib/') then
    script.files[#script.files + 1] = { parts = split(body), finish = finish }
  else
    own[#own + 1] = body
    for i, lines in ipairs(own) do
      script.own[i] = table.concat(lines, '\n')
    end
  end
end

-- Whether one of `names` is in `needed`.
local function is_needed(names, needed)
  for _, name in ipairs(names) do
    if needed[name] then
      return true
    end
  end
  return false
end

-- Returns the parts of libraries that `text` needs, as a set, and the functions that finish them, in the order of the files.
local function choose(script, text)
  local needed, chosen, finish = {}, {}, {}
  local function read_words(words)
    for word in words:gmatch('[%a_][%w_]*') do
      needed[word] = true
    end
  end
  read_words(text)
  for at = #script.files, 1, -1 do
    local file = script.files[at]
    for i = #file.finish, 1, -1 do -- a library of which nothing is used has nothing to finish
      for _, part in ipairs(file.parts) do
        if is_needed(part.names, needed) then
          table.insert(finish, 1, file.finish[i])
          needed[file.finish[i]] = true
          break
        end
      end
    end
    for i = #file.parts, 1, -1 do
      if is_needed(file.parts[i].names, needed) then
        chosen[file.parts[i]] = true
        read_words(table.concat(file.parts[i], '\n'))
      end
    end
  end
  return chosen, finish
end

-- Makes script.libraries, script.later_libraries (lists of texts), and script.finish.
local function link(script)
  local before, later, after = unpack(script.own)
  local all, finish = choose(script, table.concat(script.own, '\n'))
  local now = later and choose(script, table.concat({ before, after, table.concat(finish, ' ') }, '\n')) or all
  script.libraries, script.later_libraries, script.finish = {}, {}, finish
  for _, file in ipairs(script.files) do
    for _, part in ipairs(file.parts) do
      local list = now[part] and script.libraries or all[part] and script.later_libraries
      if list then
        list[#list + 1] = table.concat(part, '\n')
      end
    end
  end
end

-- When a script fails, its writes before the failure stay. So the script's own part is a function, and the functions that finish it
-- run after a failure, too. The script's own error wins over later ones. The error names its line, since Redis would name the line
-- that raises it again.
local RUN = [[
local function explain(err)
  local _, line = pcall(error, '', 4) -- where redis.call or error was called
  local text = type(err) == 'table' and err.err or tostring(err)
  return { err = (string.find(text, '^%u+ ') and text or 'ERR ' .. text) .. ', ' .. line }
end
local done, result = xpcall(run, explain)]]
local FINISH = [[
local NAME_done, NAME_error = xpcall(NAME, explain)
if done and not NAME_done then
  done, result = false, NAME_error
end]]
local END = [[
if not done then
  error(result)
end
return result]]

-- The text around the part of a script that is made later.
local LATER = [[
local NAME_made
local function NAME_make()]]
local NOW = [[
NAME_made = NAME
end
local function NAME(...)
  if not NAME_made then
    NAME_make()
  end
  return NAME_made(...)
end]]

-- The texts of a script's own part, with the libraries that are made later, and the calls of the functions that finish it.
local function own_parts(script)
  local before, later, after = unpack(script.own)
  local parts, text = {}, {}
  if #script.finish > 0 then
    text[1] = 'local function run()'
  end
  text[#text + 1] = before
  if later then
    text[#text + 1] = LATER:gsub('NAME', script.later)
    parts[1] = table.concat(text, '\n')
    for _, library in ipairs(script.later_libraries) do
      parts[#parts + 1] = library
    end
    text = { later, (NOW:gsub('NAME', script.later)), after }
  end
  if #script.finish > 0 then
    text[#text + 1] = 'end\n' .. RUN
    for _, name in ipairs(script.finish) do
      text[#text + 1] = FINISH:gsub('NAME', name)
    end
    text[#text + 1] = END
  end
  parts[#parts + 1] = table.concat(text, '\n')
  return parts
end

-- The text of a script, in parts: the check of its call and its names, then each library, then itself.
local function assemble(script)
  local bodies = {}
  for _, list in ipairs({ script.libraries, own_parts(script) }) do
    for _, body in ipairs(list) do
      bodies[#bodies + 1] = body .. '\n'
    end
  end
  local text = {}
  local takes = #script.args .. (script.rest and ' or more' or '')
  text[#text + 1] = ('if #KEYS ~= %d or #ARGV %s %d then'):format(#script.keys, script.rest and '<' or '~=', #script.args)
  text[#text + 1] = ("  return redis.error_reply('BADCALL %s takes %d keys and %s arguments')")
    :format(script.name, #script.keys, takes)
  text[#text + 1] = 'end'
  local function name_positions(kind, names)
    for position, name in ipairs(names) do
      local variable = kind .. '_' .. name
      for _, body in ipairs(bodies) do
        if body:find('%f[%w_]' .. variable .. '%f[^%w_]') then
          text[#text + 1] = ('local %s = %s[%d]'):format(variable, kind == 'key' and 'KEYS' or 'ARGV', position)
          break
        end
      end
    end
  end
  name_positions('key', script.keys)
  name_positions('arg', script.args)
  if script.rest then
    text[#text + 1] = ('local rest = %d'):format(#script.args + 1)
  end
  table.insert(bodies, 1, table.concat(text, '\n') .. '\n')
  return bodies
end

local function c_string(text)
  local lines = {}
  for line in text:gmatch('(.-)\n') do
    lines[#lines + 1] = '    "' .. line:gsub('\\', '\\\\'):gsub('"', '\\"') .. '\\n"'
  end
  return table.concat(lines, '\n')
end

local scripts = {}
for i = 2, #arg do
  local script = { name = arg[i]:match('([%w_]+)%.lua$'), keys = {}, args = {}, used = {}, files = {}, own = {} }
  include(script, arg[i], {})
  link(script)
  script.parts = assemble(script)
  script.text = table.concat(script.parts)
  local _, err = (loadstring or load)(script.text, '=' .. script.name)
  if err then
    fail(arg[i], err)
  end
  scripts[#scripts + 1] = script
end

local header = { '/* Made by lua/embed.lua from lua/; not to be edited. */', '#ifndef GEN_SCRIPTS_H', '#define GEN_SCRIPTS_H', '' }
header[#header + 1] = 'enum script {'
for _, script in ipairs(scripts) do
  header[#header + 1] = '    SCRIPT_' .. script.name .. ','
end
header[#header + 1] = '    SCRIPT_COUNT\n};\n'
for _, script in ipairs(scripts) do
  header[#header + 1] = '/* lua/' .. script.name .. '.lua' .. (script.rest and ', then ' .. script.rest or '') .. ' */\nenum {'
  for _, name in ipairs(script.args) do
    header[#header + 1] = ('    %s_%s,'):format(script.name:upper(), name)
  end
  header[#header + 1] = ('    %s_ARGS\n};\n'):format(script.name:upper())
end
local commands = {}
for _, script in ipairs(scripts) do
  for command in script.text:gmatch("call%('(%u+)'") do
    add(commands, '+' .. command:lower())
  end
end
table.sort(commands)
header[#header + 1] = '/* What a Redis user must be permitted for the scripts, as ACL SETUSER takes it. */'
header[#header + 1] = '#define SCRIPT_COMMANDS "' .. table.concat(commands, ' ') .. '"\n'
header[#header + 1] = '#endif'

local part_names, part_count = {}, 0
local source = { '/* Made by lua/embed.lua from lua/; not to be edited. */', '#include "redis/script.h"', '' }
for _, script in ipairs(scripts) do
  source[#source + 1] = ('static const enum key %s_keys[] = {KEY_%s};'):format(script.name, table.concat(script.keys, ', KEY_'))
  local parts = {}
  for i, part in ipairs(script.parts) do
    if not part_names[part] then -- a part of a library stands here once, however many scripts use it
      part_count = part_count + 1
      part_names[part] = 'part_' .. part_count
      source[#source + 1] = ('static const char part_%d[] =\n%s;\n'):format(part_count, c_string(part))
    end
    parts[i] = ('{%s, sizeof(%s) - 1}'):format(part_names[part], part_names[part])
  end
  source[#source + 1] = ('static const struct str %s_parts[] = {%s};\n'):format(script.name, table.concat(parts, ', '))
end
source[#source + 1] = 'const struct script_text script_texts[SCRIPT_COUNT] = {'
for _, script in ipairs(scripts) do
  source[#source + 1] = ('    [SCRIPT_%s] = {"%s", %s_parts, %d, %s_keys, %d, %d},')
    :format(script.name, script.name, script.name, #script.parts, script.name, #script.keys, #script.args)
end
source[#source + 1] = '};'

os.execute('mkdir -p ' .. output .. '/scripts')
for _, script in ipairs(scripts) do
  local args = {}
  for _, name in ipairs(script.keys) do
    args[#args + 1] = 'key ' .. name
  end
  for _, name in ipairs(script.args) do
    args[#args + 1] = 'arg ' .. name
  end
  write(output .. '/scripts/' .. script.name .. '.lua', script.text)
  write(output .. '/scripts/' .. script.name .. '.args', table.concat(args, '\n') .. '\n')
end
write(output .. '/scripts.c', table.concat(source, '\n') .. '\n')
write(output .. '/scripts.h', table.concat(header, '\n') .. '\n')
