;; A guest that takes table elements without end when a request carries `x-mode`. Written by hand, because Rust has
;; no way to grow a table. All values it returns are laid out as the canonical ABI has them; zeros mean ok, next, none.
(module
  (table $elements 1 funcref)
  (memory (export "memory") 2)

  ;; result<needs, string>: ok, phases = {request}, request-headers = one string.
  (data (i32.const 1024) "\00\00\00\00" "\01\00\00\00" "\00\05\00\00" "\01\00\00\00")
  (data (i32.const 1280) "\40\05\00\00" "\06\00\00\00")
  (data (i32.const 1344) "x-mode")

  ;; What the host passes in lies from here on, anew for each call.
  (global $free (mut i32) (i32.const 65536))

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func (export "config-schema") (result i32) (i32.const 2048))

  (func (export "configure") (param i32 i32) (result i32) (i32.const 1024))

  ;; The record `request` has its list of headers at byte 64: a pointer, then the length.
  (func (export "on-request") (param $request i32) (result i32)
    (if (i32.load offset=68 (local.get $request)) (then (call $bomb)))
    (i32.const 2048))

  (func (export "on-request-body") (param i32 i32 i32) (result i32) (i32.const 2048))
  (func (export "on-response") (param i32) (result i32) (i32.const 2048))
  (func (export "on-response-body") (param i32 i32 i32) (result i32) (i32.const 2048))

  (func (export "cabi_post_on-request") (param i32)
    (global.set $free (i32.const 65536)))

  (func $bomb
    (loop $more
      (br_if $more
        (i32.ne (table.grow $elements (ref.null func) (i32.const 1000)) (i32.const -1))))
    unreachable))
