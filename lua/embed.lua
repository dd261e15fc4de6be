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
-- Written: scripts.h and scripts.c, and for people and tests scripts/SCRIPT.lua (the whole text as Redis gets it) and
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

-- The parts of a library, each with its names: a new one begins with each `local` at the start of a line. Redis runs the whole
-- text of a script in each call and makes its functions anew, 0.15 µs for each. So a script only gets what it needs.
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
  local body, finish = {}, {}
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
    elseif line:find('^%-%-:') then
      fail(path, 'no such interface line: ' .. line)
    elseif line ~= '' and not line:find('^%s*%-%-') then -- comments are for readers of the file; in memory they would cost 160 KB
      body[#body + 1] = line
    end
  end
  open[path] = nil
  script.files[#script.files + 1] = { parts = path:find('/lib/') and split(body) or { body }, finish = finish }
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

-- Makes script.body, the texts that the script needs, of its files, and script.finish, in the order of the files.
local function choose(script)
  local needed, body, finish = {}, {}, {}
  for at = #script.files, 1, -1 do
    local file = script.files[at]
    for i = #file.finish, 1, -1 do -- nothing is to be finished where nothing of the library is used
      for _, part in ipairs(file.parts) do
        if is_needed(part.names, needed) then
          table.insert(finish, 1, file.finish[i])
          needed[file.finish[i]] = true
          break
        end
      end
    end
    for i = #file.parts, 1, -1 do
      local part = file.parts[i]
      if at == #script.files or is_needed(part.names, needed) then
        local text = table.concat(part, '\n')
        table.insert(body, 1, text)
        for word in text:gmatch('[%a_][%w_]*') do
          needed[word] = true
        end
      end
    end
  end
  script.body, script.finish = body, finish
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

-- The text of a script's own part, followed by the calls of `functions`.
local function finished(body, functions)
  local text = { 'local function run()', body, 'end', RUN }
  for _, name in ipairs(functions) do
    text[#text + 1] = FINISH:gsub('NAME', name)
  end
  text[#text + 1] = END
  return table.concat(text, '\n')
end

-- The text of a script, in parts: the check of its call and its names, then each library, then itself.
local function assemble(script)
  local text = {}
  local takes = #script.args .. (script.rest and ' or more' or '')
  text[#text + 1] = ('if #KEYS ~= %d or #ARGV %s %d then'):format(#script.keys, script.rest and '<' or '~=', #script.args)
  text[#text + 1] = ("  return redis.error_reply('BADCALL %s takes %d keys and %s arguments')")
    :format(script.name, #script.keys, takes)
  text[#text + 1] = 'end'
  local function name_positions(kind, names)
    for position, name in ipairs(names) do
      local variable = kind .. '_' .. name
      for _, body in ipairs(script.body) do
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
  local parts = { table.concat(text, '\n') .. '\n' }
  for at, body in ipairs(script.body) do
    parts[#parts + 1] = (at == #script.body and #script.finish > 0 and finished(body, script.finish) or body) .. '\n'
  end
  return parts
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
  local script = { name = arg[i]:match('([%w_]+)%.lua$'), keys = {}, args = {}, used = {}, files = {} }
  include(script, arg[i], {})
  choose(script)
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
