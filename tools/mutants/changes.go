package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
)

// node makes the changes of one node and reports whether to look into it.
func (v *visitor) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		outer := v.results
		v.results = resultsOf(v.info.TypeOf(n))
		ast.Inspect(n.Body, v.node)
		v.results = outer
		return false
	case *ast.GenDecl:
		return n.Tok == token.VAR // a constant or a type cannot depend on a variable
	case *ast.ArrayType, *ast.StructType, *ast.InterfaceType, *ast.MapType, *ast.FuncType, *ast.ChanType:
		return false
	case *ast.BlockStmt:
		v.block(n.List)
	case *ast.CaseClause:
		v.block(n.Body)
	case *ast.CommClause:
		v.block(n.Body)
	case *ast.IfStmt:
		v.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			v.mutate(n.Cond, "never", "((", ") && !§)") // always would not end
		}
	case *ast.ReturnStmt:
		v.returned(n)
	case ast.Expr:
		return v.expression(n)
	}
	return true
}

// block removes statements, one at a time. Only those that stand in a list can
// have an if around them.
func (v *visitor) block(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
					continue // the end of a function that returns something
				}
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
			if name, ok := s.Lhs[0].(*ast.Ident); ok && name.Name == "_" {
				if _, called := s.Rhs[0].(*ast.CallExpr); !called {
					continue
				}
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		case *ast.BranchStmt:
			if s.Tok == token.FALLTHROUGH || s.Tok == token.GOTO {
				continue
			}
		default:
			continue
		}
		v.mutate(s, "removed", "if !§ { ", " }")
	}
}

// condition makes a condition always true and always false.
func (v *visitor) condition(e ast.Expr) {
	v.mutate(e, "always", "(", " || §)")
	v.mutate(e, "never", "((", ") && !§)")
}

// returned makes results the zero values of their types.
func (v *visitor) returned(n *ast.ReturnStmt) {
	if v.results == nil || len(n.Results) != v.results.Len() {
		return
	}
	for i, e := range n.Results {
		t := v.info.Types[e]
		if literal, ok := e.(*ast.CompositeLit); ok && len(literal.Elts) == 0 {
			continue
		}
		if t.IsNil() || t.Value != nil && isZero(t.Value) || isBoolean(t.Type) || !types.Identical(t.Type, v.results.At(i).Type()) {
			continue // a boolean is changed as a condition, where it is not constant
		}
		if t.Value != nil {
			continue // inference would take the default type
		}
		v.mutate(e, "returned as zero", "mutantZero(№, ", ")")
	}
	for i, e := range n.Results {
		if t := v.info.Types[e]; t.Value == nil && isBoolean(t.Type) && types.Identical(t.Type.Underlying(), t.Type) && v.results.At(i) != nil {
			v.condition(e)
		}
	}
}

func isZero(value constant.Value) bool {
	switch value.Kind() {
	case constant.String:
		return constant.StringVal(value) == ""
	case constant.Int, constant.Float:
		return constant.Sign(value) == 0
	}
	return false
}

func isBoolean(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

// expression changes operators, boolean constants and integer constants.
func (v *visitor) expression(e ast.Expr) bool {
	t, ok := v.info.Types[e]
	if !ok || !t.IsValue() {
		_, call := e.(*ast.CallExpr)
		return call // one without a result
	}
	if t.Value != nil {
		v.constant(e, t)
		return false
	}
	switch e := e.(type) {
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				element = pair.Value // a key may have to be constant
			}
			ast.Inspect(element, v.node)
		}
		return false
	case *ast.SelectorExpr:
		ast.Inspect(e.X, v.node)
		return false
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			v.mutate(e, "negated", "(", " != §)")
		}
	case *ast.BinaryExpr:
		v.binary(e)
	}
	return true
}

func (v *visitor) binary(e *ast.BinaryExpr) {
	x, y := v.source(e.X), v.source(e.Y)
	raw := func(op string) string { return "(" + x + ") " + op + " (" + y + ")" }
	switch e.Op {
	case token.EQL:
		v.mutate(e, "== is !=", "((", ") != §)")
	case token.NEQ:
		v.mutate(e, "!= is ==", "((", ") != §)")
	case token.LSS:
		v.mutate(e, "< is <=", "(", " || § && "+raw("<=")+")")
	case token.GTR:
		v.mutate(e, "> is >=", "(", " || § && "+raw(">=")+")")
	case token.LEQ:
		v.mutate(e, "<= is <", "(", " && (!§ || "+raw("<")+"))")
	case token.GEQ:
		v.mutate(e, ">= is >", "(", " && (!§ || "+raw(">")+"))")
	case token.LAND, token.LOR:
		for _, operand := range []ast.Expr{e.X, e.Y} {
			if inner, ok := operand.(*ast.BinaryExpr); ok && inner.Op == e.Op {
				continue // its own operands are changed
			}
			if e.Op == token.LAND {
				v.mutate(operand, "always", "(", " || §)")
			} else {
				v.mutate(operand, "never", "((", ") && !§)")
			}
		}
	case token.ADD, token.SUB:
		if t, ok := v.info.TypeOf(e).Underlying().(*types.Basic); ok && t.Info()&types.IsNumeric != 0 {
			change, instance := "+ is -", ""
			if e.Op == token.SUB {
				change = "- is +"
			}
			if v.info.Types[e.Y].Value != nil {
				name, ok := v.typeName(v.info.TypeOf(e.Y))
				if !ok {
					return
				}
				instance = "[" + name + "]"
			}
			v.mutate(e.Y, change, "mutantMinus"+instance+"(№, ", ")")
		}
	}
}

// constant changes the outermost constant of an expression.
func (v *visitor) constant(e ast.Expr, t types.TypeAndValue) {
	basic, ok := t.Type.Underlying().(*types.Basic)
	if !ok {
		return
	}
	switch {
	case basic.Info()&types.IsBoolean != 0 && types.Identical(t.Type, t.Type.Underlying()):
		v.mutate(e, "the other boolean", "(", " != §)")
	case basic.Info()&types.IsInteger != 0 && basic.Info()&types.IsUntyped == 0:
		if name, ok := v.typeName(t.Type); ok && name == "time.Duration" && constant.Compare(t.Value, token.GEQ, constant.MakeInt64(1e9)) {
			v.mutate(e, "a second more", "mutantSecond(№, ", ")")
		} else if ok {
			v.mutate(e, "one more", "mutantMore["+name+"](№, ", ")")
		}
	}
}

// typeName writes a type as the file can, if it is in this package or in none.
func (v *visitor) typeName(t types.Type) (string, bool) {
	switch t := t.(type) {
	case *types.Basic:
		return t.Name(), true
	case *types.Named:
		if t.Obj().Pkg() == nil || t.Obj().Pkg() == v.pkg {
			return t.Obj().Name(), true
		}
		if t.Obj().Pkg().Path() == "time" {
			return "time." + t.Obj().Name(), v.imports["time"]
		}
	}
	return "", false
}
