module github.com/reachfive-community/reachfive

go 1.26.0
