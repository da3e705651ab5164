# Plain comments of C become Doxygen's; lines stay where they are. The first one documents the file.
1,/\*\/$/ {
  s#\*/$#@file */#
  s#^ \*  \([1-9]\.\) # * \1  #
}
# Titles of sections stay plain.
/^ *\/\* ----/b
s#^\( *\)/\* #\1/** #
t
s#\([^ ]\) \{1,\}/\* #\1 /**< #
