// Package examples holds programs to copy: README.md lists them.
package examples
