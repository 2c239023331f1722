// Package log writes lines into the gateway's log. Each carries the plugin's name, its version and the request id.
package log

import (
	"fmt"

	raw "gatehouse/internal/bindings/gatehouse_plugin_log"
)

// Debug writes a line that matters only to whoever looks for a fault.
func Debug(format string, values ...any) { raw.Log(raw.LevelDebug, fmt.Sprintf(format, values...)) }

// Info writes a line about what went as it should.
func Info(format string, values ...any) { raw.Log(raw.LevelInfo, fmt.Sprintf(format, values...)) }

// Warn writes a line about what an operator should know.
func Warn(format string, values ...any) { raw.Log(raw.LevelWarn, fmt.Sprintf(format, values...)) }

// Error writes a line about what an operator should mend.
func Error(format string, values ...any) { raw.Log(raw.LevelError, fmt.Sprintf(format, values...)) }
