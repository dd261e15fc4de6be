-- Finds broken links in Markdown files: files that are not there, and headings that a page does not have.
--
--   lua5.1 tests/lib/links.lua PAGE.md…
--
-- Links to other hosts are not checked.

local bad = false

local function read(path)
  local file = io.open(path, 'rb')
  local text = file and file:read('*a') -- nil for a directory
  local found = file ~= nil
  if file then
    file:close()
  end
  return text, found
end

-- The page without its code, in which brackets mean something else.
local function prose(text)
  return (text:gsub('\n```.-\n```', '\n'):gsub('`[^`\n]*`', ''))
end

-- The anchors of a page: those that GitHub makes of its headings, and its own.
local function anchors(text)
  local found = {}
  for heading in ('\n' .. text:gsub('\n```.-\n```', '\n')):gmatch('\n#+ ([^\n]+)') do
    found[heading:lower():gsub('[^%w _-]', ''):gsub(' ', '-')] = true
  end
  for id in text:gmatch('<a id="([^"]+)">') do
    found[id] = true
  end
  return found
end

for _, page in ipairs(arg) do
  local folder = page:match('^.*/') or ''
  for target in prose(read(page)):gmatch('%]%(([^)%s]+)%)') do
    local path, anchor = target:match('^([^#]*)#?(.*)$')
    if not target:find('^%a+:') then
      local text, found = read(path == '' and page or folder .. path)
      if not found or (anchor ~= '' and not (text and anchors(text)[anchor])) then
        print(page .. ': no such file or heading: ' .. target)
        bad = true
      end
    end
  end
end
os.exit(bad and 1 or 0)
