module gatehouse

go 1.25
