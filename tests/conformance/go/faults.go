package main

var hoarded [][]byte

// commit does the bad thing of this name; it returns if there is none.
func commit(action string) {
	switch action {
	case "trap":
		panic("as asked")
	case "loop":
		for {
		}
	case "memory":
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			hoarded = append(hoarded, block)
		}
	}
}
