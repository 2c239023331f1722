module {{name}}

go 1.25

require gatehouse v0.0.0

replace gatehouse => {{gatehouse}}/plugins-sdk/go
