from web.app import main  # python -m web.site

if __name__ == "__main__":
    raise SystemExit(main())
