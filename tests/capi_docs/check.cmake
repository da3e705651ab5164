# Compares a document of a C library with the library's headers.
#  HEADERS    declare the library's functions
#  BASE       headers of another library whose names and statuses it uses, or empty
#  DOCUMENT   tells of every function
#  OTHERS     further documents that name functions, or empty
#  COUNTED    "header bound" of headers whose functions DOCUMENT counts in a table, or empty
#  LEAST      fewer functions in HEADERS than this: the search is broken
#
#  * Every function of HEADERS stands in exactly one item of a list in DOCUMENT, which says what it costs; every item is
#    of such functions: "* `name`, `name`: what for. Cost: ... Gives: `status`, `status`."
#  * The statuses that an item gives exist. Every status of HEADERS has its row of a table, with its number.
#  * A header of COUNTED has as many functions as DOCUMENT says, and not more than its bound.
#  * Every anb_... and ANB_... in the documents is a name of the headers.
cmake_minimum_required(VERSION 3.25)

set(wrong "")
macro(complain text)
  string(APPEND wrong "  ${text}\n")
endmacro()

# read_all(<variable> <file>...): their text together.
function(read_all variable)
  set(all "")
  foreach(file IN LISTS ARGN)
    file(READ "${file}" text)
    string(APPEND all "${text}\n")
  endforeach()
  set(${variable} "${all}" PARENT_SCOPE)
endfunction()
read_all(own ${HEADERS})
read_all(base ${BASE})
cmake_path(GET DOCUMENT FILENAME document)

# ---- functions

string(REGEX MATCHALL "ANB_API [^(;]*anb_[a-z_]+\\(" functions "${own}")
list(TRANSFORM functions REPLACE "^.*(anb_[a-z_]+)\\($" "\\1")
list(LENGTH functions n_functions)
if(n_functions LESS LEAST)
  complain("only ${n_functions} functions were found in the headers: is the search broken?")
endif()

file(READ "${DOCUMENT}" text)
string(REGEX REPLACE "[][;]" "," text "${text}")  # they mean something in lists
string(REGEX REPLACE "\n  +" " " text "${text}")  # an item becomes one line
string(REGEX MATCHALL "\n\\* `anb_[^\n]*" items "${text}")
file(STRINGS "${DOCUMENT}" tiers REGEX "^\\| ")
foreach(header IN LISTS COUNTED)
  string(REGEX MATCH "^(.*/)([^/]*) ([0-9]+)$" header "${header}")
  set(name "${CMAKE_MATCH_2}")
  set(most "${CMAKE_MATCH_3}")
  file(READ "${CMAKE_MATCH_1}${name}" declarations)
  string(REGEX MATCHALL "\nANB_API " found "${declarations}")
  list(LENGTH found n_found)
  if(n_found GREATER most)
    complain("${name} has ${n_found} functions, more than ${most}")
  endif()
  if(NOT "${tiers}" MATCHES "\\| `${name}` \\| [a-z]+ \\| ${n_found} \\|")
    complain("${document} does not say that ${name} has ${n_found} functions")
  endif()
endforeach()
set(documented "")
set(given "")
foreach(item IN LISTS items)
  if(NOT item MATCHES "^\n\\* ((`anb_[a-z_]+`(, )?)+): (.*)$")
    complain("an item of ${document} does not begin with names and a colon:${item}")
    continue()
  endif()
  set(names "${CMAKE_MATCH_1}")
  set(body "${CMAKE_MATCH_4}")
  string(REGEX MATCHALL "anb_[a-z_]+" names "${names}")
  list(APPEND documented ${names})
  if(NOT body MATCHES "Cost: [^. ]")
    complain("the item of ${names} in ${document} does not say what it costs")
  endif()
  if(body MATCHES "Gives: (.*)$")
    string(REGEX MATCHALL "`[^`]*`" statuses "${CMAKE_MATCH_1}")
    list(APPEND given ${statuses})
  endif()
endforeach()

foreach(name IN LISTS functions)
  if(NOT name IN_LIST documented)
    complain("${name} has no item in ${document}")
  endif()
endforeach()
set(seen "")
foreach(name IN LISTS documented)
  if(NOT name IN_LIST functions)
    complain("${document} has an item for ${name}, which no header declares")
  endif()
  if(name IN_LIST seen)
    complain("${document} has two items for ${name}")
  endif()
  list(APPEND seen ${name})
endforeach()

# ---- statuses: the enumeration that starts with ANB_OK

# read_statuses(<variable> <text of headers>): each as "number name".
function(read_statuses variable headers)
  string(REGEX MATCH "ANB_OK = 0,.*ANB_NOTHING_TO_DO = [0-9]+" enumeration "${headers}")
  string(REGEX MATCHALL "ANB_[A-Z_]+ = [0-9]+" found "${enumeration}")
  list(TRANSFORM found REPLACE "^ANB_([A-Z_]+) = ([0-9]+)$" "\\2 \\1")
  list(TRANSFORM found TOLOWER)
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()
read_statuses(statuses "${own}${base}")
list(LENGTH statuses n_statuses)
if(n_statuses LESS 23)
  complain("only ${n_statuses} statuses were found in the headers: is the search broken?")
endif()
list(TRANSFORM statuses REPLACE "^[0-9]+ " "" OUTPUT_VARIABLE status_names)
list(REMOVE_DUPLICATES given)
foreach(name IN LISTS given)
  string(REPLACE "`" "" name "${name}")
  if(NOT name IN_LIST status_names)
    complain("${document} lets a function give '${name}', which is no status")
  endif()
endforeach()

read_statuses(own_statuses "${own}")
file(STRINGS "${DOCUMENT}" rows REGEX "^\\| [0-9]+ \\| `[a-z_]+` \\| [^ ]")
list(TRANSFORM rows REPLACE "^\\| ([0-9]+) \\| `([a-z_]+)` .*$" "\\1 \\2")
foreach(status IN LISTS own_statuses)
  if(NOT status IN_LIST rows)
    complain("status '${status}' has no row in ${document}")
  endif()
endforeach()
foreach(status IN LISTS rows)
  if(NOT status IN_LIST own_statuses)
    complain("${document} has a row for the status '${status}', which no header has")
  endif()
endforeach()

# ---- names

foreach(file "${DOCUMENT}" ${OTHERS})
  file(READ "${file}" text)
  string(REGEX MATCHALL "(anb_[a-z_]*[a-z]|ANB_[A-Z_0-9]*[A-Z0-9])" used "${text}")
  list(REMOVE_DUPLICATES used)
  foreach(name IN LISTS used)
    if(NOT "${own}${base}" MATCHES "[^A-Za-z_]${name}[^A-Za-z_0-9]")
      cmake_path(GET file FILENAME short)
      complain("${short} speaks of ${name}, which is in no header")
    endif()
  endforeach()
endforeach()

if(wrong)
  message(FATAL_ERROR "${document} is not true to the headers:\n${wrong}")
endif()
message("${n_functions} functions, ${n_statuses} statuses")
