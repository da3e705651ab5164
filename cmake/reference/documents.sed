# `::part` names a target of CMake, not a symbol.
s#`::#`anabranch::#g
# Links that Doxygen cannot follow become text: to a heading of the same document, and to documents outside the reference.
s#\[\([^]]*\)\](\#[^)]*)#\1#g
s#\](\#[^)]*)#]#g
s#\](\([^)]*\(examples\|tests\|bench\|cmake\|python\|rust\)/[^)]*\.md\)[^)]*)#] (\1)#g
