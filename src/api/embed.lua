-- Turns the files that are served into C, so that the binary contains them.
--
--   lua5.1 src/api/embed.lua OUTPUT.c FILE…     writes the C
--   lua5.1 src/api/embed.lua --page FILE.html   writes a page, as it is served, to standard output
--
-- openapi.json becomes the text embedded_openapi_json, docs.html the page embedded_docs (http/page.h), and dashboard/index.html
-- the page embedded_dashboard. A page is one file: the style sheet and the scripts that it names are put into it. All scripts
-- become one <script> with a scope of its own. The page's Content-Security-Policy permits that <script> and that <style>, by their
-- SHA-256, and no others.

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

-- Returns the output of a command that reads `text` from a temporary file at `path`.
local function filter(command, text, path)
  write(path, text)
  local pipe = io.popen(command .. ' <' .. path)
  local said = pipe:read('*a')
  pipe:close()
  os.remove(path)
  return said
end

-- Returns a page with its style sheet and its scripts in it.
local function assemble(path)
  local folder, html = path:match('^(.*/)') or '', read(path)
  local scripts = {}
  html = html:gsub('<link rel="stylesheet" href="([%w_.-]+)">', function(name)
    return '<style>\n' .. read(folder .. name) .. '</style>'
  end)
  html = html:gsub('<script src="([%w_./-]+)"></script>\n?', function(name)
    scripts[#scripts + 1] = read(folder .. name)
    return #scripts == 1 and '<script></script>\n' or ''
  end)
  if #scripts == 0 then
    return html
  end
  local script = "(() => {\n'use strict';\n\n" .. table.concat(scripts, '\n') .. '})();\n'
  return (html:gsub('<script></script>', function()
    return '<script>\n' .. script .. '</script>'
  end))
end

local function c_string(text)
  local lines = {}
  for line in text:gmatch('[^\n]*\n?') do
    -- a ? is escaped, too, so that it makes no trigraph
    local escaped = line:gsub('[\\"?]', '\\%0'):gsub('\n', '\\n')
    lines[#lines + 1] = line ~= '' and '    "' .. escaped .. '"' or nil
  end
  return table.concat(lines, '\n')
end

local function c_bytes(bytes)
  local lines = {}
  for at = 1, #bytes, 32 do
    lines[#lines + 1] = '    "' .. bytes:sub(at, at + 31):gsub('.', function(byte)
      return ('\\%03o'):format(byte:byte())
    end) .. '"'
  end
  return table.concat(lines, '\n')
end

-- Returns the SHA-256 of `text` in hexadecimal, and in base64.
local function digest(text, path)
  local hex = filter('sha256sum', text, path):match('^%x+')
  if not hex or #hex ~= 64 then
    fail(path, 'sha256sum does not work')
  end
  local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  -- 3 hex digits make 2 of base64. 64 hex digits need two more zeros, and make 43 of base64.
  local base64 = (hex .. '00'):gsub('%x%x%x', function(three)
    local number = tonumber(three, 16)
    local high, low = math.floor(number / 64) + 1, number % 64 + 1
    return digits:sub(high, high) .. digits:sub(low, low)
  end)
  return hex, base64:sub(1, 43) .. '='
end

local function policy(path, html, part)
  local own = {}
  for _, element in ipairs({ 'script', 'style' }) do
    local text = html:match('<' .. element .. '>(.-)</' .. element .. '>') or fail(path, 'has no <' .. element .. '>')
    local _, base64 = digest(text, part)
    own[#own + 1] = ("%s-src 'sha256-%s'; "):format(element, base64)
  end
  return "default-src 'none'; " .. table.concat(own)
    .. "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
end

if arg[1] == '--page' then
  io.write(assemble(arg[2]))
  os.exit(0)
end

local output = arg[1]
local part = output .. '.part'
local source = { '/* Made by src/api/embed.lua; not to be edited. */', '#include "api/embedded.h"', '' }

local function add(...)
  source[#source + 1] = string.format(...)
end

local function add_page(path)
  local name, html = path:gsub('/index%.html$', '.html'):match('([^/]+)%.html$'):gsub('%W', '_'), assemble(path)
  local gzip = filter('gzip -9n', html, part)
  local tag = digest(html, part):sub(1, 16)
  add('static const char %s_html[] =\n%s;', name, c_string(html))
  add('static const char %s_gzip[] =\n%s;', name, c_bytes(gzip))
  add('const struct page embedded_%s = {', name)
  add('    {%s_html, sizeof(%s_html) - 1}, {%s_gzip, sizeof(%s_gzip) - 1},', name, name, name, name)
  add('    "\\"%s\\"", "\\"%s-gzip\\"",', tag, tag)
  add('%s};\n', c_string(policy(path, html, part)))
end

local function add_text(path)
  local name = path:match('[^/]+$'):gsub('%W', '_')
  add('static const char %s[] =\n%s;', name, c_string(read(path)))
  add('const struct str embedded_%s = {%s, sizeof(%s) - 1};\n', name, name, name)
end

for i = 2, #arg do
  if arg[i]:find('%.html$') then
    add_page(arg[i])
  else
    add_text(arg[i])
  end
end
write(output, table.concat(source, '\n'))
